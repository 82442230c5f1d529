"""Which runs are seeds of one row: runs that differ in nothing but their seed.

A run is a row of the paper only if it has every setting of the row's recipe, in one budget. Other runs
stand apart and are named by what differs.
"""

from __future__ import annotations

import collections
import os
import re
from dataclasses import dataclass
from typing import Any, Dict, Iterable, List, Optional, Sequence, Tuple

from arcface_mx.config import TrainConfig
from arcface_mx.report.budgets import (
    OF_THE_SCHEDULE,
    Budget,
    differences,
    nearest_budget,
    result_settings,
    schedule_of,
)
from arcface_mx.report.paper import PaperRow, default_path, find_row, read_rows, spelled
from arcface_mx.train.folder import read_config, read_environment, read_metrics, read_template_results
from arcface_mx.util.errors import UserError

SHORT = 7  # digits of a fingerprint


@dataclass(frozen=True)
class RunIdentity:
    """What a run was: its settings, its row, and the data and versions it was made with."""

    folder: str
    config: TrainConfig
    row: Optional[PaperRow]
    budget: Budget
    data: str  # folder's name and fingerprint of the training set
    version: str
    sets: Tuple[Tuple[str, Any], ...]  # name and number of pairs of each verification set

    @property
    def seed(self) -> int:
        return self.config.run.seed

    def key(self) -> Tuple[Any, ...]:
        """Equal for two runs that differ in nothing but their seed."""
        settings = {name: value for name, value in result_settings(self.config).items() if name not in OF_THE_SCHEDULE}
        return repr(sorted(settings.items())), schedule_of(self.config), self.data, self.version


@dataclass
class RunGroup:
    """Runs that differ in nothing but their seed.

    Attributes
    ----------
    name : str
    row : PaperRow, optional
        The row whose recipe the runs have; None if they differ from every recipe.
    runs : list of RunIdentity
    budget : Budget
    """

    name: str
    row: Optional[PaperRow]
    runs: List[RunIdentity]
    budget: Budget


def read_identity(folder: str, paper: List[PaperRow]) -> RunIdentity:
    """Read what a run was. Raises UserError if the folder is no run."""
    config, environment = read_config(folder), read_environment(folder)
    row = _row_of(config, paper)
    data = environment.get("data", {})
    fingerprint = str(data.get("fingerprint", ""))[:SHORT]
    return RunIdentity(
        folder,
        config,
        row,
        nearest_budget(config, row),
        f"{os.path.basename(str(data.get('folder')))} ({fingerprint})" if fingerprint else "",
        str(environment.get("arcface_mx", "")),
        tuple(
            (name, result.get("pairs"))
            for results in ((read_metrics(folder) or {}).get("sets", {}), read_template_results(folder))
            for name, result in sorted(results.items())
        ),
    )


def _row_of(config: TrainConfig, paper: List[PaperRow]) -> Optional[PaperRow]:
    """Return the row whose recipe a run has, else the row whose loss it has."""
    found = find_row(config, paper) or find_row(config, paper, exact=False)
    same_loss = [row for row in paper if row is not found and spelled(row.flags)["loss"] == config.loss.name]
    for row in [found, *same_loss] if found else []:
        # Two rows of one loss can differ in their schedule alone.
        if row and not differences(config, row, nearest_budget(config, row)):
            return row
    return found


def group_runs(folders: Sequence[str], paper: List[PaperRow]) -> Tuple[List[RunGroup], List[str]]:
    """Group runs by what they were; return the groups and a line for each thing that a reader must know.

    Parameters
    ----------
    folders : sequence of str
    paper : list of PaperRow

    Returns
    -------
    groups : list of RunGroup
        In the order of their first runs.
    notes : list of str
        Mixed training sets, versions, budgets and verification sets; runs without a recipe; missing
        seeds; copies of one run.
    """
    runs = [read_identity(folder, paper) for folder in folders]
    usual = _Usual(runs)
    by_key: Dict[Tuple[Any, ...], List[RunIdentity]] = {}
    for run in runs:
        name = "" if run.row else _folder_name(run)
        by_key.setdefault((*run.key(), usual.other_sets(run), name), []).append(run)
    groups, notes = [], usual.notes()
    for members in by_key.values():
        kept, copies = _without_copies(members)
        notes += copies
        name, row = usual.name(kept[0])
        groups.append(RunGroup(name, row, kept, kept[0].budget))
        if kept[0].row is None:
            notes.append(f"{name}: no recipe in recipes/paper.csv has the loss and settings of this run")
    return _with_own_names(groups), notes + _missing_seeds(groups)


class _Usual:
    """What most runs of a table have: names tell how other runs differ from it."""

    def __init__(self, runs: Sequence[RunIdentity]) -> None:
        self.budgets = collections.Counter(run.budget for run in runs)
        self.data = collections.Counter(run.data for run in runs)
        self.versions = collections.Counter(run.version for run in runs)
        self.sets = {
            name: collections.Counter(dict(run.sets)[name] for run in runs if name in dict(run.sets))
            for name in dict.fromkeys(name for run in runs for name, _ in run.sets)
        }

    def name(self, run: RunIdentity) -> Tuple[str, Optional[PaperRow]]:
        """Return the name of a run, and its row if it has the row's recipe and the usual data and version."""
        budget = _most(self.budgets)
        differing = [] if run.row is None else differences(run.config, run.row, run.budget).items()
        words = [f"{name}={_value(value)}" for name, value in differing]
        if run.budget != budget:
            words.append(f"budget {run.budget}")
        words += [f"trained on {run.data or 'unknown data'}"] * (run.data != _most(self.data))
        words += [f"version {run.version or 'unknown'}"] * (run.version != _most(self.versions))
        words += [f"{name} of {pairs} pairs" for name, pairs in self.other_sets(run)]
        name = run.row.name if run.row else _folder_name(run)
        return ", ".join([name, *words]), None if words else run.row

    def other_sets(self, run: RunIdentity) -> Tuple[Tuple[str, Any], ...]:
        """Return the verification sets that have another number of pairs than the sets of this name usually have."""
        return tuple((name, pairs) for name, pairs in run.sets if pairs != _most(self.sets[name]))

    def notes(self) -> List[str]:
        """A line for each thing in which the runs are not alike."""
        return [
            *_mixed("training sets", self.data),
            *_mixed("versions of arcface-mx", self.versions),
            *_mixed("budgets", self.budgets),
            *(
                line
                for name, pairs in self.sets.items()
                for line in _mixed(f"sets named {name}, by their number of pairs", pairs)
            ),
        ]


def _most(counts: Dict[Any, int]) -> Any:
    """Return the most frequent value, of several the first."""
    return max(counts, key=lambda value: counts[value])


def _mixed(what: str, counts: Dict[Any, int]) -> List[str]:
    if len(counts) < 2:
        return []
    listed = "; ".join(f"{value or 'unknown'}: {count} run{'s' * (count > 1)}" for value, count in counts.items())
    return [f"these runs mix {what}, and runs that differ in this are not averaged ({listed})"]


def _without_copies(runs: Sequence[RunIdentity]) -> Tuple[List[RunIdentity], List[str]]:
    """Keep the first run of each seed, and name the others."""
    kept: Dict[int, RunIdentity] = {}
    notes = []
    for run in runs:
        first = kept.setdefault(run.seed, run)
        if first is not run:
            notes.append(f"{run.folder} has the settings and the seed of {first.folder}; it is not counted")
    return list(kept.values()), notes


def _missing_seeds(groups: Iterable[RunGroup]) -> List[str]:
    """A line for each row of the paper that lacks a seed which other rows have."""
    rows = [group for group in groups if group.row]
    seeds = sorted({run.seed for group in rows for run in group.runs})
    notes = []
    for group in rows:
        missing = [str(seed) for seed in seeds if seed not in {run.seed for run in group.runs}]
        if missing:
            notes.append(f"{group.name}: seed {', '.join(missing)} is missing")
    return notes


def _with_own_names(groups: List[RunGroup]) -> List[RunGroup]:
    """Add the folder to names that two groups share."""
    counts = collections.Counter(group.name for group in groups)
    for group in groups:
        if counts[group.name] > 1:
            group.name, group.row = f"{group.name}, {os.path.basename(os.path.normpath(group.runs[0].folder))}", None
    return groups


def _folder_name(run: RunIdentity) -> str:
    return re.sub(r"-seed\d+$", "", os.path.basename(os.path.normpath(run.folder)))


def _value(value: Any) -> str:
    if isinstance(value, tuple):
        return ":".join(map(str, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def names_of(runs: Sequence[str]) -> List[str]:
    """Return the name of each run: its row, or its row and what differs, or its folder's name.

    Raises UserError for a folder that is no run, and for two runs of one name.
    """
    paper = read_rows(default_path())
    names: List[str] = []
    for run in runs:
        groups, _ = group_runs([run], paper)
        folder = os.path.basename(os.path.normpath(run))
        name = groups[0].name if groups[0].runs[0].row else folder
        names.append(name if name not in names else f"{name}, {folder}")
    if len(set(names)) < len(names):
        raise UserError(f"two of the runs are called {max(names, key=names.count)}; rename a folder")
    return names
