"""Each recipe is one command with its row's flags; paper.csv and the recipes tell the same."""

from __future__ import annotations

import os
import re
import subprocess

import mxnet as mx
import pytest

from arcface_mx.cli.shared.commands import parse
from arcface_mx.config import from_flat, to_flat
from arcface_mx.flags import given_values
from arcface_mx.losses import LOSSES, ArcFace
from arcface_mx.losses.graph import training_graph
from arcface_mx.presets import preset_values
from arcface_mx.report import paper
from arcface_mx.report.budgets import Budget, differences, nearest_budget

RECIPES = os.path.dirname(paper.default_path())
ROWS = paper.read_rows(paper.default_path())


def command_line(recipe, budget):
    """The flags that a recipe hands to `arcface-mx train`, from bash itself with common.sh's set-up left out."""
    with open(os.path.join(RECIPES, recipe), encoding="utf-8") as stream:
        body = stream.read()
    with open(os.path.join(RECIPES, "lib", "common.sh"), encoding="utf-8") as stream:
        common = stream.read()
    own_schedule = common[common.index("own_schedule() {") : common.index("# train FLAGS trains")]
    script = f'train() {{ printf "%s\\n" "$@"; }}\nSTEPS=320\nBUDGET={budget}\n{own_schedule}\n'
    script += body.replace('. "$(dirname "$0")/lib/common.sh"', "")
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", script], capture_output=True, text=True, check=True)
    return done.stdout.split()


@pytest.mark.parametrize("row", ROWS, ids=[row.recipe for row in ROWS])
@pytest.mark.parametrize("budget", ["laptop", "paper"])
def test_a_recipe_is_its_row(row, budget):
    values = given_values(parse(["train", *command_line(row.recipe, budget)]))
    assert paper.find_row(from_flat(values), ROWS) is row


def whole_commands(budget, steps, rows, extra=""):
    """All flags that the recipes of `rows` hand to `arcface-mx train`, with the settings of their budget."""
    with open(os.path.join(RECIPES, "lib", "common.sh"), encoding="utf-8") as stream:
        common = stream.read()
    shared = common[common.index("# own_schedule STEPS") : common.index("# train FLAGS trains")]
    script = f'train() {{ echo "${{SETTINGS[@]}}" "$@"; }}\nSTEPS={steps}\nBUDGET={budget}\n{shared}\nset -- {extra}\n'
    for row in rows:
        with open(os.path.join(RECIPES, row.recipe), encoding="utf-8") as stream:
            script += stream.read().replace('. "$(dirname "$0")/lib/common.sh"', "") + "\n"
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", script], capture_output=True, text=True, check=True)
    return [line.split() for line in done.stdout.splitlines()]


def resolved(words):
    """The configuration that `arcface-mx train` makes of flags with a preset."""
    args = parse(["train", *words])
    values = given_values(args)
    preset = preset_values(args.preset, LOSSES[values["loss"]], values)
    return from_flat({**preset, **values})


@pytest.mark.parametrize("budget, steps", [("paper", 0), ("laptop", 1400), ("table", 700), ("photographs", "")])
def test_a_run_of_a_recipe_has_the_settings_of_its_row(budget, steps):
    expected_steps = {"": 7200}.get(steps, steps)
    for row, words in zip(ROWS, whole_commands(budget, steps, ROWS)):
        config = resolved(words)
        assert nearest_budget(config, row) == Budget(budget, expected_steps), row.recipe
        assert differences(config, row, Budget(budget, expected_steps)) == {}, row.recipe


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 5, 6, 7, 13, 100])
def test_recipes_run_at_any_number_of_steps(steps):
    for row, words in zip(ROWS, whole_commands("table", steps, ROWS)):
        config = resolved(words)
        assert config.optimizer.steps == steps and all(0 < drop < steps for drop in config.optimizer.lr_drops)
        assert differences(config, row, Budget("table", steps)) == {}, row.recipe


@pytest.mark.parametrize("budget", ["paper", "laptop"])
def test_every_margin_recipe_takes_literal(budget):
    rows = [row for row in ROWS if row.builder == "margin_logits"]
    assert len(rows) == 14
    for words in whole_commands(budget, 100, rows, "--literal"):
        loss = resolved(words).loss
        assert loss.literal and loss.margin_ramp == 0.0 and loss.policy == "none"
        training_graph(mx.sym.Variable("data", shape=(4, 8)), loss, 5)


@pytest.mark.parametrize("row", ROWS, ids=[row.recipe for row in ROWS])
def test_the_header_names_the_row_and_the_papers_figures(row):
    with open(os.path.join(RECIPES, row.recipe), encoding="utf-8") as stream:
        header = [line for line in stream if line.startswith("# ")]
    assert header[0].startswith(f"# Row: {row.name}.")
    figures = {name: float(value) for name, value in re.findall(r"(LFW|CFP-FP|AgeDB-30|YTF) ([\d.]+\d)", header[1])}
    assert figures == {name: value for name, value in row.figures.items() if value is not None}


# Section 3.1 of the paper and, where it is silent, the released code.
PAPER_SETTINGS = {
    "loss": "arcface",
    "m": 0.5,
    "scale": 64.0,
    "network": "iresnet50",
    "embedding_size": 512,
    "dropout": 0.4,
    "image_size": 112,
    "batch_size": 512,
    "lr": 0.1,
    "lr_drops": (20000, 28000),
    "steps": 32000,
    "momentum": 0.9,
    "weight_decay": 5e-4,
    "mirror": True,
}


def test_the_papers_settings_are_the_defaults_and_the_paper_budget():
    defaults = to_flat(from_flat({}))
    assert {name: defaults[name] for name in PAPER_SETTINGS} == PAPER_SETTINGS
    assert preset_values("paper", ArcFace) == {"schedule_batch": 512}
    with open(os.path.join(RECIPES, "lib", "common.sh"), encoding="utf-8") as stream:
        assert "SETTINGS=(--preset paper)" in stream.read()


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_takes_the_laptop_preset(loss):
    values = preset_values("laptop", LOSSES[loss])
    config = from_flat({"loss": loss, **values})
    assert config.optimizer.steps == 1400 and config.data.image_size == 48
    assert getattr(config.loss, "scale", 32.0) == 32.0 and getattr(config.loss, "margin_ramp", 0.4) in (0.4, 0.0)


def test_the_recipes_page_lists_every_row():
    with open(os.path.join(RECIPES, "README.md"), encoding="utf-8") as stream:
        page = stream.read()
    for row in ROWS:
        assert f"| {row.name} | [{row.recipe}]({row.recipe}) |" in page
        assert f"`{row.builder}`" in page


def test_fine_tuning_verifies_before_and_after_on_the_same_set():
    with open(os.path.join(RECIPES, "fine_tune.sh"), encoding="utf-8") as stream:
        body = stream.read().replace('. "$(dirname "$0")/lib/common.sh"', "")
    script = 'arcface() { printf "%s\\n" "$*"; }\nMODEL=model,0 DATA=faces RUN=runs/x SEED=1\n' + body.replace(
        '"$@"', "--steps 3"
    )
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", script], capture_output=True, text=True, check=True)
    _, before, training = done.stdout.splitlines()
    assert before == "verify model,0 faces/held_out.bin"
    values = given_values(parse(training.split()))
    assert values["eval"] == ("faces/held_out.bin",) and values["init"] == "model,0" and values["network"] == "init"
    assert from_flat(values).optimizer.steps == 3
