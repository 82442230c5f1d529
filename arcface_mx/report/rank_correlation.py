"""Does the order of the rows agree with the paper's? Spearman's rank correlation over the rows."""

from __future__ import annotations

from typing import List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from arcface_mx.report.paper import ABLATION
from arcface_mx.report.table import TableRow, set_names

# What each of the paper's columns is compared with: sets whose names hold this.
STRESSES = (("lfw", "LFW"), ("cfp", "CFP-FP"), ("agedb", "AgeDB-30"))
DRAWS = 2000
FEWEST_ROWS = 5


class Agreement(NamedTuple):
    """Spearman's ρ between a measured set and a column of the paper, over `rows` rows.

    interval: the middle 95 % of ρ when each row's seeds are drawn anew with replacement; None
    where some row has a single run.
    """

    set: str
    column: str
    rows: int
    rho: float
    interval: Optional[Tuple[float, float]]


def agreements(rows: Sequence[TableRow]) -> List[Agreement]:
    """One entry a measured set that stresses what a column of the paper does, in the sets' order."""
    found = []
    for name in set_names(list(rows)):
        column = next((column for part, column in STRESSES if part in name.lower()), None)
        if column is None:
            continue
        values, printed = _both(rows, name, column)
        if len(values) >= FEWEST_ROWS:
            found.append(
                Agreement(
                    name,
                    column,
                    len(values),
                    _rho([float(np.mean(v)) for v in values], printed),
                    _interval(values, printed),
                )
            )
    return found


def _both(rows: Sequence[TableRow], name: str, column: str) -> Tuple[List[List[float]], List[float]]:
    values, printed = [], []
    for row in rows:
        figure = row.paper.figures[column] if row.paper and row.paper.table == ABLATION else None
        if figure is not None and row.values.get(name):
            values.append(row.values[name])
            printed.append(figure)
    return values, printed


def _rho(measured: Sequence[float], printed: Sequence[float]) -> float:
    from scipy.stats import spearmanr

    return float(spearmanr(measured, printed)[0])


def _interval(values: List[List[float]], printed: List[float]) -> Optional[Tuple[float, float]]:
    if min(map(len, values)) < 2:
        return None
    random = np.random.RandomState(0)
    draws = [_rho([np.mean(random.choice(own, len(own))) for own in values], printed) for _ in range(DRAWS)]
    low, high = np.percentile(draws, [2.5, 97.5])
    return float(low), float(high)


def describe(found: Sequence[Agreement]) -> str:
    """One line an agreement, nothing where none can be measured."""
    lines = []
    for one in found:
        between = (
            "one seed a row: no interval"
            if one.interval is None
            else "{:.2f} to {:.2f} over seeds (95 %)".format(*one.interval)
        )
        lines.append(
            f"order of {one.rows} rows, {one.set} against the paper's {one.column}: Spearman {one.rho:.2f} ({between})"
        )
    return "\n".join(lines)
