"""The rows of the paper's table (recipes/paper.csv), and to which row a run belongs."""

from __future__ import annotations

import argparse
import csv
import dataclasses
import os
import shlex
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Dict, List, Optional, Sequence, Tuple

from arcface_mx.config import TrainConfig, from_flat, to_flat
from arcface_mx.train.folder import read_config
from arcface_mx.util.errors import UserError

COLUMNS = ("LFW", "CFP-FP", "AgeDB-30", "YTF")
ABLATION = "ArcFace"  # the table of the paper; other rows are in SphereFace's, in the journal's or in none


@dataclass(frozen=True)
class PaperRow:
    """One row of a table.

    Attributes
    ----------
    name : str
    recipe : str
        File name of its recipe.
    builder : str
        Name of its symbol builder.
    flags : tuple of str
        The flags of `arcface-mx train` that make the row.
    table : str
        The published table that it stands in, or "none".
    figures : dict of str to float or None
        Published accuracies in %, by column.
    """

    name: str
    recipe: str
    builder: str
    flags: Tuple[str, ...]
    table: str
    figures: Dict[str, Optional[float]]


def default_path() -> str:
    """Return the path of recipes/paper.csv, in a checkout and in an installed package."""
    return os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "recipes", "paper.csv")


def read_rows(path: str) -> List[PaperRow]:
    """Return all rows in the paper's order. Raises UserError if the file is missing or malformed."""
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
    """Return {setting: value} of the row's flags, defaults included."""
    return to_flat(from_flat(_spelled(flags)))


@lru_cache(maxsize=None)
def _spelled(flags: Tuple[str, ...]) -> Dict[str, Any]:
    from arcface_mx.flags import add_config_flags, given_values, named_loss

    parser = argparse.ArgumentParser(allow_abbrev=False)
    add_config_flags(parser, named_loss(flags))
    return given_values(parser.parse_args(list(flags)))


def find_row(config: TrainConfig, rows: List[PaperRow]) -> Optional[PaperRow]:
    """Return the row that a configuration belongs to, None if there is none.

    A run belongs to a row if it has the row's loss, and the row's value in every setting of the loss
    that is not common to all rows and in every setting that the row spells out. Of several rows the
    one that spells out most settings is returned.
    """
    values = to_flat(config)
    telling = {entry.name for entry in dataclasses.fields(config.loss) if not entry.metadata["common"]} | {"loss"}
    for row in sorted(rows, key=lambda row: -len(_spelled(row.flags))):
        spelled, expected = _spelled(row.flags), row_values(row.flags)
        # A schedule is recognised by its number of drops: its lengths are scaled to the data.
        if "lr_drops" in spelled and len(spelled["lr_drops"]) != len(values["lr_drops"]):
            continue
        names = telling | (set(spelled) - {"steps", "lr_drops"})
        if all(name in expected and expected[name] == values.get(name) for name in names):
            return row
    return None


def names_of(runs: Sequence[str]) -> List[str]:
    """Return the name of each run: its row of paper.csv, else its folder's name.

    Raises UserError for a folder that is no run, and for two runs of one name.
    """
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
