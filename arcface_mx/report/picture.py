"""The table as a picture: one panel a set, one line a row, mean and deviation over seeds."""

from __future__ import annotations

from typing import Any, List, Sequence

import numpy as np

from arcface_mx.report.rank_correlation import STRESSES
from arcface_mx.report.table import TableRow, set_names

MEASURED, PRINTED = "#1f4e79", "#c0504d"


def draw_table(rows: Sequence[TableRow], path: str, title: str) -> None:
    """Write a PNG: measured means ± standard deviation over seeds; the paper's figure where the set
    stresses what one of its columns does, on an axis of its own above (other data, another network)."""
    from arcface_mx.util.plots import new_figure, save

    shown = [row for row in rows if row.runs]
    names = set_names(shown)
    figure, axes = new_figure(len(names), width=2.9, height=1.2 + 0.27 * len(shown))
    for axis, name in zip(axes, names):
        _panel(axis, shown, name)
    axes[0].set_yticks(range(len(shown)))
    axes[0].set_yticklabels([row.name for row in shown], fontsize=8)
    for axis in axes:
        axis.set_ylim(len(shown) - 0.5, -0.5)
    for axis in axes[1:]:
        axis.set_yticks(range(len(shown)))
        axis.set_yticklabels([])
    figure.suptitle(title, fontsize=10)
    save(figure, path)


def _panel(axis: Any, rows: List[TableRow], name: str) -> None:
    for place, row in enumerate(rows):
        values = row.values.get(name)
        if values:
            axis.plot(values, [place] * len(values), "o", color=MEASURED, alpha=0.3, markersize=3)
            spread = np.std(values, ddof=1) if len(values) > 1 else 0.0
            axis.errorbar(np.mean(values), place, xerr=spread, fmt="o", color=MEASURED, markersize=5, capsize=2)
    axis.set_xlabel(f"{name}, %", color=MEASURED, fontsize=8)
    axis.tick_params(labelsize=7)
    axis.grid(axis="y", alpha=0.25)
    column = next((column for part, column in STRESSES if part in name.lower()), None)
    figures = [(place, row.paper.figures[column]) for place, row in enumerate(rows) if column and row.paper]
    figures = [(place, figure) for place, figure in figures if figure is not None]
    if figures:
        above = axis.twiny()
        above.plot([figure for _, figure in figures], [place for place, _ in figures], "x", color=PRINTED, markersize=5)
        above.set_xlabel(f"{column} in the paper, %", color=PRINTED, fontsize=8)
        above.tick_params(labelsize=7)
