"""Plots of scored pairs: angles of same and of different pairs, ROC, DET."""

from __future__ import annotations

from typing import Sequence

import numpy as np

from arcface_mx.metrics.angles import degrees
from arcface_mx.metrics.verification import equal_error_rate, roc_curve
from arcface_mx.report.scores import ScoredSet
from arcface_mx.util.plots import new_figure, save

RATES = np.asarray([0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6])  # ticks of the DET plot


def draw_pair_angles(scored: Sequence[ScoredSet], path: str) -> None:
    """Draw histograms of the angle between the two images of a pair, one panel per set and model."""
    figure, axes = new_figure(len(scored), 3.4, 3.0)
    bins = list(range(0, 142, 2))
    for axis, item in zip(axes, scored):
        angles = degrees(item.scores)
        axis.hist(angles[item.same], bins, alpha=0.6, color="#1f4e79", label="same identity")
        axis.hist(angles[~item.same], bins, alpha=0.6, color="#c0504d", label="different identities")
        axis.set_title(_label(item), fontsize=8)
        axis.set_xlabel("angle between the images, degrees", fontsize=8)
        axis.tick_params(labelsize=7)
        axis.legend(fontsize=7)
    axes[0].set_ylabel("pairs per 2°", fontsize=8)
    save(figure, path)


def draw_roc(scored: Sequence[ScoredSet], path: str) -> None:
    """Draw TAR over FAR (logarithmic), one line per set and model, down to the FAR of one accepted pair."""
    figure, (axis,) = new_figure(1, 5.2, 4.2)
    for item in scored:
        roc = roc_curve(item.scores, item.same)
        measurable = roc.accepted_different >= 1
        axis.plot(roc.far[measurable], roc.tar[measurable], label=_label(item), linewidth=1.3)
    axis.set_xscale("log")
    axis.set_xlabel("FAR: share of different pairs accepted")
    axis.set_ylabel("TAR: share of same pairs accepted")
    axis.set_ylim(0.0, 1.005)
    axis.grid(alpha=0.25, which="both")
    axis.legend(fontsize=7, loc="lower right")
    save(figure, path)


def draw_det(scored: Sequence[ScoredSet], path: str) -> None:
    """Draw the detection error trade-off: false rejections over false acceptances, both on probit axes."""
    from scipy.stats import norm

    figure, (axis,) = new_figure(1, 4.8, 4.4)
    ticks = norm.ppf(RATES)
    for item in scored:
        roc = roc_curve(item.scores, item.same)
        rejected = 1.0 - roc.tar
        # The probit of 0 is infinite, and a rate below one pair cannot be measured.
        measurable = (roc.accepted_different >= 1) & (rejected * roc.num_same >= 1)
        axis.plot(
            norm.ppf(roc.far[measurable]),
            norm.ppf(rejected[measurable]),
            label=f"{_label(item)}, EER {100 * equal_error_rate(roc):.1f} %",
            linewidth=1.3,
        )
    axis.plot(ticks[[0, -1]], ticks[[0, -1]], ":", color="grey", linewidth=0.8)
    for side, name in ((axis.xaxis, "false acceptances (FAR), %"), (axis.yaxis, "false rejections (1 − TAR), %")):
        side.set_ticks(ticks)
        side.set_ticklabels([f"{100 * rate:g}" for rate in RATES], fontsize=7)
        side.set_label_text(name)
    axis.set_xlim(ticks[0], ticks[-1])
    axis.set_ylim(ticks[0], ticks[-1])
    axis.grid(alpha=0.25)
    axis.legend(fontsize=7, loc="upper right")
    save(figure, path)


def _label(item: ScoredSet) -> str:
    return f"{item.model}, {item.set}"
