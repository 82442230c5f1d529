"""Plots of scored pairs: angles of same and of different pairs, ROC, DET."""

from __future__ import annotations

from typing import Sequence

import numpy as np

from arcface_mx.metrics.angles import degrees
from arcface_mx.metrics.verification import equal_error_rate, roc_curve
from arcface_mx.report.scores import ScoredSet
from arcface_mx.util.plots import DIFFERENT, SAME, drawing, plot_text

RATES = np.asarray([0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6])  # ticks of the DET plot
SQUARE = 3.9  # inches: the height of the two curves, which stand side by side


def draw_pair_angles(scored: Sequence[ScoredSet], path: str) -> None:
    """Draw histograms of the angle between the two images of a pair, one panel per set and model."""
    bins = list(range(0, 142, 2))
    with drawing(path, len(scored), 2.9, sharex=True) as axes:
        for axis, item in zip(axes, scored):
            angles = degrees(item.scores)
            for chosen, colour, label in (
                (item.same, SAME, "same identity"),
                (~item.same, DIFFERENT, "different identities"),
            ):
                counts = np.histogram(angles[chosen], bins)[0] * (100.0 / max(1, chosen.sum()))
                axis.stairs(counts, bins, fill=True, alpha=0.45, color=colour)
                axis.stairs(counts, bins, color=colour, linewidth=1.2, label=label)
            axis.set_title(_label(item))
            axis.set_ylabel("% of pairs per 2°")
            axis.legend(loc="upper left")
        top = 1.3 * max(axis.get_ylim()[1] for axis in axes)  # equal axes, with room for the legend
        for axis in axes:
            axis.set_ylim(0, top)
        axes[-1].set_xlabel("angle between the images, degrees")


def draw_roc(scored: Sequence[ScoredSet], path: str) -> None:
    """Draw TAR over FAR (logarithmic), one line per set and model, down to the FAR of one accepted pair."""
    with drawing(path, height=SQUARE) as (axis,):
        for item in scored:
            roc = roc_curve(item.scores, item.same)
            measurable = roc.accepted_different >= 1
            axis.plot(roc.far[measurable], roc.tar[measurable], label=_label(item))
        axis.set_xscale("log")
        axis.set_xlabel("FAR: share of different pairs accepted")
        axis.set_ylabel("TAR: share of same pairs accepted")
        axis.set_ylim(0.0, 1.01)
        axis.set_title("ROC")
        axis.legend(loc="lower right")


def draw_det(scored: Sequence[ScoredSet], path: str) -> None:
    """Draw the detection error trade-off: false rejections over false acceptances, both on probit axes."""
    from scipy.stats import norm

    ticks = norm.ppf(RATES)
    with drawing(path, height=SQUARE) as (axis,):
        for item in scored:
            roc = roc_curve(item.scores, item.same)
            rejected = 1.0 - roc.tar
            # The probit of 0 is infinite, and a rate below one pair cannot be measured.
            measurable = (roc.accepted_different >= 1) & (rejected * roc.num_same >= 1)
            axis.plot(
                norm.ppf(roc.far[measurable]),
                norm.ppf(rejected[measurable]),
                label=f"{_label(item)}: EER {100 * equal_error_rate(roc):.1f} %",
            )
        axis.plot(ticks[[0, -1]], ticks[[0, -1]], ":", color="grey", linewidth=0.8)
        for side, name in ((axis.xaxis, "false acceptances (FAR), %"), (axis.yaxis, "false rejections (1 − TAR), %")):
            side.set_ticks(ticks)
            side.set_ticklabels([f"{100 * rate:g}" for rate in RATES])
            side.set_label_text(name)
        axis.set_xlim(ticks[0], ticks[-1])
        axis.set_ylim(ticks[0], ticks[-1])
        axis.set_title("DET")
        axis.legend(loc="upper right")


def _label(item: ScoredSet) -> str:
    return plot_text(f"{item.model}, {item.set}")
