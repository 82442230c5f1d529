"""The paper's table (recipes/paper.csv), and which of its rows a run's configuration is."""

from __future__ import annotations

import argparse
import csv
import os
import shlex
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Dict, List, Optional, Sequence, Set, Tuple

from arcface_mx.config import TrainConfig, from_flat, to_flat
from arcface_mx.train.folder import read_config
from arcface_mx.util.errors import UserError

COLUMNS = ("LFW", "CFP-FP", "AgeDB-30", "YTF")
ABLATION = "ArcFace"  # the paper's own table; other rows are of SphereFace's, of the journal's, of none
# What tells rows apart, beside the fields that a row's flags spell out; scale, schedule and network
# are common to all rows of a table.
ROW_FIELDS = (
    "loss",
    "m1",
    "m2",
    "m3",
    "intra_weight",
    "inter_weight",
    "triplet_weight",
    "triplet_margin",
    "a_softmax_m",
)


@dataclass(frozen=True)
class PaperRow:
    """One row: its recipe and builder, the flags that make it, the printed table that it stands in
    ("none": in none), accuracies in % (None: not given)."""

    name: str
    recipe: str
    builder: str
    flags: Tuple[str, ...]
    table: str
    figures: Dict[str, Optional[float]]


def default_path() -> str:
    """Path of recipes/paper.csv, in a checkout and in an installed package."""
    return os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "recipes", "paper.csv")


def read_rows(path: str) -> List[PaperRow]:
    """All rows in the paper's order. Raises UserError where the file is missing or malformed."""
    try:
        with open(path, encoding="utf-8", newline="") as stream:
            entries = list(csv.DictReader(stream))
        return [
            PaperRow(
                entry["row"],
                entry["recipe"],
                entry["builder"],
                tuple(shlex.split(entry["flags"])),
                entry["table"],
                {column: None if entry[column] == "-" else float(entry[column]) for column in COLUMNS},
            )
            for entry in entries
        ]
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); give --paper recipes/paper.csv")
    except (KeyError, ValueError, TypeError) as error:
        raise UserError(f"{path}: not the paper's table ({error})")


def row_values(flags: Tuple[str, ...]) -> Dict[str, Any]:
    """{field: value} of the row's flags, defaults included."""
    return to_flat(from_flat(_spelled(flags)))


@lru_cache(maxsize=None)
def _spelled(flags: Tuple[str, ...]) -> Dict[str, Any]:
    from arcface_mx.flags import add_config_flags, given_values

    parser = argparse.ArgumentParser(allow_abbrev=False)
    add_config_flags(parser)
    return given_values(parser.parse_args(list(flags)))


def find_row(config: TrainConfig, rows: List[PaperRow]) -> Optional[PaperRow]:
    """The row whose flags this configuration has, the most particular one; None where there is none."""
    own = to_flat(config)
    for row in sorted(rows, key=lambda row: -len(_spelled(row.flags))):
        spelled, values = _spelled(row.flags), row_values(row.flags)
        # A schedule is recognised by its number of drops: its lengths are scaled to the data.
        if "lr_drops" in spelled and len(spelled["lr_drops"]) != len(own["lr_drops"]):
            continue
        telling = _telling(own["loss"]) | (set(spelled) - {"steps", "lr_drops"})
        if all(values[name] == own[name] for name in telling):
            return row
    return None


def _telling(loss: str) -> Set[str]:
    """The fields that matter for this loss: m1 says nothing of softmax."""
    used = {"margin": {"m1", "m2", "m3"}, "a_softmax": {"a_softmax_m"}, "sub_centre": {"m2"}}.get(loss, set())
    return set(ROW_FIELDS) - ({"m1", "m2", "m3", "a_softmax_m"} - used)


def names_of(runs: Sequence[str]) -> List[str]:
    """What pictures call each run: its row of paper.csv, else its folder's name. Raises UserError on a
    folder that is no run, and on two of one name."""
    rows = read_rows(default_path())
    names = []
    for run in runs:
        row = find_row(read_config(run), rows)
        folder = os.path.basename(os.path.normpath(run))
        name = row.name if row else folder
        names.append(name if name not in names else f"{name}, {folder}")
    if len(set(names)) < len(names):
        raise UserError(f"two of the runs are called {max(names, key=names.count)}; rename a folder")
    return names
