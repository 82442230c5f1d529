"""The rows of the paper's table (recipes/paper.csv), and to which row a run belongs."""

from __future__ import annotations

import argparse
import csv
import dataclasses
import os
import shlex
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Dict, List, Optional, Tuple

from arcface_mx.config import TrainConfig, from_flat, to_flat
from arcface_mx.util.errors import UserError

COLUMNS = ("LFW", "CFP-FP", "AgeDB-30", "YTF")
# Flags of a row that say how it is trained. They do not tell which loss it is.
TRAINING = ("steps", "lr_drops", "batch_size", "schedule_batch", "images_per_identity")
ABLATION = "ArcFace"  # the table of the paper; other rows are in SphereFace's, in the journal's or in none
TABLES = (ABLATION, "SphereFace", "journal")


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
    printed : dict of str to str
        The same figures with the digits of the publication, "-" where there is none.
    also : str
        The table, name and figures of the row in a second table, "-" if there is none.
    """

    name: str
    recipe: str
    builder: str
    flags: Tuple[str, ...]
    table: str
    figures: Dict[str, Optional[float]]
    printed: Dict[str, str] = dataclasses.field(default_factory=dict)
    also: str = "-"


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
                *_figures({column: entry[column] for column in COLUMNS}),
                entry["also"],
            )
            for entry in entries
        ]
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); give --paper recipes/paper.csv")
    except (KeyError, ValueError, TypeError) as error:
        raise UserError(f"{path}: not the paper's table ({error})")


def _figures(printed: Dict[str, str]) -> Tuple[Dict[str, Optional[float]], Dict[str, str]]:
    """Return figures as numbers, and as printed."""
    return {column: None if text == "-" else float(text) for column, text in printed.items()}, printed


def rows_of_table(rows: List[PaperRow], table: str) -> List[PaperRow]:
    """Return the rows of a published table, then all other rows.

    A row that stands in two tables, such as softmax, has the name and the figures of this one.
    """
    first: List[PaperRow] = []
    for row in rows:
        other, _, rest = row.also.partition(": ")
        if row.table == table:
            first.append(row)
        elif other == table:
            name, _, text = rest.partition(": ")
            words = text.split()
            figures, printed = _figures({**dict.fromkeys(COLUMNS, "-"), **dict(zip(words[::2], words[1::2]))})
            first.append(dataclasses.replace(row, name=name, table=table, figures=figures, printed=printed))
    if table == "SphereFace":  # as there: by the multiplier of the angle
        first.sort(key=lambda row: row_values(row.flags).get("m", 0))
    recipes = {row.recipe for row in first}
    return first + [row for row in rows if row.recipe not in recipes]


def row_values(flags: Tuple[str, ...]) -> Dict[str, Any]:
    """Return {setting: value} of the row's flags, defaults included."""
    return to_flat(from_flat(spelled(flags)))


@lru_cache(maxsize=None)
def spelled(flags: Tuple[str, ...]) -> Dict[str, Any]:
    """Return {setting: value} of the settings that the row's flags name."""
    from arcface_mx.flags import add_config_flags, given_values, named_loss

    parser = argparse.ArgumentParser(allow_abbrev=False)
    add_config_flags(parser, named_loss(flags))
    return given_values(parser.parse_args(list(flags)))


def find_row(config: TrainConfig, rows: List[PaperRow], exact: bool = True) -> Optional[PaperRow]:
    """Return the row whose loss a configuration has, None if there is none.

    Scale, network and schedule do not matter here; `grouping.py` compares them with the recipe.

    Parameters
    ----------
    config : TrainConfig
    rows : list of PaperRow
    exact : bool
        Also compare the settings of the loss that the row does not name, such as the policy. Without
        it, the row that names most of the run's settings is returned.

    Returns
    -------
    PaperRow or None
        Of several rows the one that names most settings.
    """
    values = to_flat(config)
    telling = {entry.name for entry in dataclasses.fields(config.loss) if not entry.metadata["common"]} | {"loss"}
    for row in sorted(rows, key=lambda row: -len(spelled(row.flags))):
        named, expected = spelled(row.flags), row_values(row.flags)
        # A schedule is recognised by its number of drops: its lengths are scaled to the data.
        if "lr_drops" in named and len(named["lr_drops"]) != len(values["lr_drops"]):
            continue
        names = (telling if exact else set()) | (set(named) - set(TRAINING))
        if all(name in expected and expected[name] == values.get(name) for name in names):
            return row
    return None
