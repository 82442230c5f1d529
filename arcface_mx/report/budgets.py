"""The recipe of a row as settings: what a run must have to be that row, in each budget of the recipes."""

from __future__ import annotations

from typing import Any, Dict, NamedTuple, Optional, Tuple

from arcface_mx.config import TrainConfig, field_table, find_loss, from_flat, to_flat
from arcface_mx.presets import PRESETS, preset_values
from arcface_mx.report.paper import PaperRow, spelled
from arcface_mx.train.schedule import Schedule

PAPER, SMALL = "paper", ("laptop", "photographs")  # presets that the recipes' BUDGET names
# Settings that no row decides: the seed, and where the data lie. Training sets are compared by their fingerprints.
NOT_OF_THE_ROW = ("data", "eval", "run", "seed")
OF_THE_SCHEDULE = ("steps", "lr", "lr_drops", "warmup_steps", "schedule_batch")


class Budget(NamedTuple):
    """A preset of the recipes, and the number of steps, which the recipes' STEPS changes (0: the paper's)."""

    preset: str
    steps: int = 0

    @property
    def is_paper(self) -> bool:
        """Whether these are the paper's settings."""
        return self.preset == PAPER

    def __str__(self) -> str:
        return self.preset if self.is_paper else f"{self.preset}, {self.steps} steps"


def scaled_drops(drops: Tuple[int, ...], steps: int, total: int) -> Tuple[int, ...]:
    """Move drops of a schedule to the same shares of `total` steps, as `drops_at` in recipes/lib/common.sh does."""
    return tuple(sorted({drop * total // steps for drop in drops} - {0}))


def recipe_values(row: PaperRow, budget: Budget, literal: bool = False) -> Dict[str, Any]:
    """Return {setting: value} of a run by the recipe of a row, defaults included."""
    named = dict(spelled(row.flags))
    given = {"literal": literal, "steps": budget.steps, "lr_drops": ()}  # the recipe gives both
    base = preset_values(budget.preset, find_loss(named["loss"]), given)
    if not budget.is_paper:
        preset = PRESETS[budget.preset]
        steps, drops = named.pop("steps", preset["steps"]), named.pop("lr_drops", preset["lr_drops"])
        # The schedule of another paper: its batch counts in the paper's budget only, unless it holds tuples.
        named.pop("schedule_batch", None)
        if "images_per_identity" not in named:
            named.pop("batch_size", None)
        base.update(steps=budget.steps, lr_drops=scaled_drops(drops, steps, budget.steps))
    return to_flat(from_flat({**base, **named}))


def result_settings(config: TrainConfig) -> Dict[str, Any]:
    """Return the settings on which a result depends, apart from seed and data."""
    known = field_table(type(config.loss))
    return {
        name: value
        for name, value in to_flat(config).items()
        if name not in NOT_OF_THE_ROW and not (name in known and known[name].metadata["same_run"])
    }


def schedule_of(config: TrainConfig) -> Schedule:
    """Return the schedule in updates of the run's own batch: two ways to write one schedule are equal here."""
    return Schedule.of(config.optimizer, config.data.batch_size)


def differences(config: TrainConfig, row: PaperRow, budget: Budget) -> Dict[str, Any]:
    """Return the settings of a run that differ from the recipe of a row in this budget."""
    settings = result_settings(config)
    recipe = from_flat(recipe_values(row, budget, settings.get("literal", False)))
    expected = result_settings(recipe)
    ignored = OF_THE_SCHEDULE if schedule_of(config) == schedule_of(recipe) else ()
    return {name: value for name, value in settings.items() if value != expected.get(name) and name not in ignored}


def nearest_budget(config: TrainConfig, row: Optional[PaperRow]) -> Budget:
    """Return the budget from whose recipe a run differs in fewest settings. Without a row only presets are compared."""
    steps = schedule_of(config).steps
    budgets = [Budget(PAPER), *(Budget(name, steps) for name in SMALL)]
    if row is None:
        row = PaperRow("", "", "", ("--loss", config.loss.name), "", {})
    return min(budgets, key=lambda budget: len(differences(config, row, budget)))
