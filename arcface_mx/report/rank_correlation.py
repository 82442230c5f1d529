"""Do the rows stand in the paper's order? Spearman's rank correlation, with a bootstrap interval over seeds."""

from __future__ import annotations

from typing import List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from arcface_mx.report.paper import ABLATION
from arcface_mx.report.table import TableRow, paper_column, set_names

RESAMPLES = 2000
MIN_ROWS = 5


class RankCorrelation(NamedTuple):
    """Spearman's ρ between the means of `rows` rows on a set and a column of the paper.

    interval: the middle 95 % of ρ when the seeds of each row are drawn with replacement; None if a
    row has a single run.
    """

    set: str
    column: str
    rows: int
    rho: float
    interval: Optional[Tuple[float, float]]


def rank_correlations(rows: Sequence[TableRow]) -> List[RankCorrelation]:
    """Compare the order of the rows with the paper's.

    Parameters
    ----------
    rows : sequence of TableRow
        Rows of the table with accuracies, see `collect`.

    Returns
    -------
    list of RankCorrelation
        One for each verification set with a column in the paper and at least five common rows.
    """
    correlations = []
    for name in set_names(rows):
        column = paper_column(name)
        if column is None:
            continue
        values, printed = [], []
        for row in rows:
            value = row.paper.figures[column] if row.paper and row.paper.table == ABLATION else None
            if value is not None and row.values.get(name):
                values.append(row.values[name])
                printed.append(value)
        if len(values) >= MIN_ROWS:
            rho = float(_spearman(np.asarray([np.mean(seeds) for seeds in values]), printed))
            correlations.append(RankCorrelation(name, column, len(values), rho, _interval(values, printed)))
    return correlations


def _spearman(measured: np.ndarray, printed: Sequence[float]) -> np.ndarray:
    """Spearman's ρ of each row of `measured`, (..., rows), and `printed`."""
    from scipy.stats import rankdata

    x, y = rankdata(measured, axis=-1), rankdata(printed)
    x, y = x - x.mean(axis=-1, keepdims=True), y - y.mean()
    return x @ y / (np.linalg.norm(x, axis=-1) * np.linalg.norm(y))


def _interval(values: Sequence[Sequence[float]], printed: Sequence[float]) -> Optional[Tuple[float, float]]:
    if min(map(len, values)) < 2:
        return None
    random = np.random.RandomState(0)
    means = [[np.mean(random.choice(seeds, len(seeds))) for seeds in values] for _ in range(RESAMPLES)]
    low, high = np.percentile(_spearman(np.asarray(means), printed), [2.5, 97.5])
    return float(low), float(high)


def describe(correlations: Sequence[RankCorrelation]) -> str:
    """One line per rank correlation."""
    lines = []
    for item in correlations:
        interval = "no interval, because a row has a single run"
        if item.interval:
            interval = f"95 % over seeds: {item.interval[0]:.2f} to {item.interval[1]:.2f}"
        lines.append(
            f"order of {item.rows} rows, {item.set} against the paper's {item.column}: "
            f"Spearman {item.rho:.2f} ({interval})"
        )
    return "\n".join(lines)
