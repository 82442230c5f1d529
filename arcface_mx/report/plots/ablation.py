"""The ablation table as a plot: one panel per set, one line per row, mean and deviation over seeds."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Sequence

import numpy as np

from arcface_mx.report.table import TableRow, paper_column, set_names
from arcface_mx.util.plots import DIFFERENT, SAME, drawing, plot_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MEASURED, PRINTED = SAME, DIFFERENT


def draw_table(rows: Sequence[TableRow], path: str, title: str) -> None:
    """Draw the rows that were run: measured means ± standard deviation over seeds.

    If a set corresponds to a column of the paper, its values are drawn on an axis of their own above
    the panel, because they come from other data and another network.
    """
    rows = [row for row in rows if row.runs]
    names = set_names(rows)
    with drawing(path, len(names), 1.5 + 0.22 * len(rows)) as axes:
        for axis, name in zip(axes, names):
            _draw_panel(axis, rows, name)
            axis.set_ylim(len(rows) - 0.5, -0.5)
            axis.set_yticks(range(len(rows)))
            axis.set_yticklabels([plot_text(row.name) for row in rows])
        axes[0].figure.suptitle("\n".join(textwrap.wrap(title, 60)), x=0.02, ha="left", fontweight="bold")


def _draw_panel(axis: Axes, rows: Sequence[TableRow], name: str) -> None:
    for number, row in enumerate(rows):
        values = row.values.get(name)
        if values:
            axis.plot(values, [number] * len(values), "o", color=MEASURED, alpha=0.3, markersize=3)
            deviation = np.std(values, ddof=1) if len(values) > 1 else 0.0
            axis.errorbar(np.mean(values), number, xerr=deviation, fmt="o", color=MEASURED, markersize=5, capsize=2)
    axis.set_title(plot_text(name))
    column = paper_column(name)
    printed = [(row.paper.figures[column], number) for number, row in enumerate(rows) if column and row.paper]
    printed = [(value, number) for value, number in printed if value is not None]
    axis.set_xlabel("● measured, % (lower scale)" if printed else "● measured, %", color=MEASURED)
    if printed:
        above = axis.twiny()
        above.grid(False)
        above.spines["top"].set_visible(True)
        above.plot(*zip(*printed), "x", color=PRINTED, markersize=5)
        above.set_xlabel(f"× paper: {column}, % (upper scale)", color=PRINTED)
