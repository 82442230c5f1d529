"""The ablation table as a plot: one panel per set, one line per row, mean and deviation over seeds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Sequence

import numpy as np

from arcface_mx.report.table import TableRow, paper_column, set_names
from arcface_mx.util.plots import new_figure, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MEASURED, PRINTED = "#1f4e79", "#c0504d"


def draw_table(rows: Sequence[TableRow], path: str, title: str) -> None:
    """Draw the rows that were run: measured means ± standard deviation over seeds.

    If a set corresponds to a column of the paper, its values are drawn on an axis of their own above
    the panel, because they come from other data and another network.
    """
    rows = [row for row in rows if row.runs]
    names = set_names(rows)
    height = 1.2 + 0.27 * len(rows)
    figure, axes = new_figure(len(names), width=2.9, height=height)
    for axis, name in zip(axes, names):
        _draw_panel(axis, rows, name)
        axis.set_ylim(len(rows) - 0.5, -0.5)
        axis.set_yticks(range(len(rows)))
        axis.set_yticklabels([])
    axes[0].set_yticklabels([row.name for row in rows], fontsize=8)
    # Half an inch above the panels, so that the title does not cover the paper's axis.
    figure.suptitle(title, y=figure.subplotpars.top + 0.5 / height, va="bottom", fontsize=10)
    save(figure, path)


def _draw_panel(axis: Axes, rows: Sequence[TableRow], name: str) -> None:
    for number, row in enumerate(rows):
        values = row.values.get(name)
        if values:
            axis.plot(values, [number] * len(values), "o", color=MEASURED, alpha=0.3, markersize=3)
            deviation = np.std(values, ddof=1) if len(values) > 1 else 0.0
            axis.errorbar(np.mean(values), number, xerr=deviation, fmt="o", color=MEASURED, markersize=5, capsize=2)
    axis.set_xlabel(f"{name}, %", color=MEASURED, fontsize=8)
    axis.tick_params(labelsize=7)
    axis.grid(axis="y", alpha=0.25)
    column = paper_column(name)
    printed = [(row.paper.figures[column], number) for number, row in enumerate(rows) if column and row.paper]
    printed = [(value, number) for value, number in printed if value is not None]
    if printed:
        above = axis.twiny()
        above.plot(*zip(*printed), "x", color=PRINTED, markersize=5)
        above.set_xlabel(f"{column} in the paper, %", color=PRINTED, fontsize=8)
        above.tick_params(labelsize=7)
