"""Pictures of scored pairs: angles of same and different pairs, ROC, DET."""

from __future__ import annotations

from typing import Any, NamedTuple, Sequence

import numpy as np

from arcface_mx.metrics.verification import equal_error_rate, roc_curve


class ScoredPairs(NamedTuple):
    """Cosines (P,) of a set's pairs under one model, and which are of one person, (P,) bool."""

    model: str
    set: str
    scores: np.ndarray
    same: np.ndarray


def score_pairs(embedder: Any, path: str, name: str) -> ScoredPairs:
    """Embed a `.bin` set's images, without flip test, and score its pairs; raises UserError as `verify_set` does."""
    from arcface_mx.data.bins.read import read_pairs
    from arcface_mx.metrics.similarity import pair_scores
    from arcface_mx.util.progress import progress
    from arcface_mx.verify.sets import set_name

    pairs = read_pairs(path)
    embeddings = embedder.embed(progress(pairs.pixels(), set_name(path), "image", pairs.num_images))
    scores = pair_scores(embeddings, pairs.left, pairs.right, f"{name} on {path}")
    return ScoredPairs(name, set_name(path), scores, np.asarray(pairs.same, bool))


def draw_pair_angles(scored: Sequence[ScoredPairs], path: str) -> None:
    """Histograms of the angle between the two photos of same and of different pairs, one panel a set and model."""
    from arcface_mx.util.plots import new_figure, save

    figure, axes = new_figure(len(scored), 3.4, 3.0)
    for axis, one in zip(axes, scored):
        angles = np.degrees(np.arccos(np.clip(one.scores, -1.0, 1.0)))
        bins = np.arange(0.0, 142.0, 2.0)
        for kind, name, colour in ((one.same, "same person", "#1f4e79"), (~one.same, "different people", "#c0504d")):
            axis.hist(angles[kind], bins, alpha=0.6, color=colour, label=name)
        axis.set_title(f"{one.model}, {one.set}", fontsize=8)
        axis.set_xlabel("angle of a pair, degrees", fontsize=8)
        axis.tick_params(labelsize=7)
        axis.legend(fontsize=7)
    axes[0].set_ylabel("pairs a bin of 2°", fontsize=8)
    save(figure, path)


def draw_roc(scored: Sequence[ScoredPairs], path: str) -> None:
    """TAR over FAR (logarithmic), a line a set and model, down to the FAR of one accepted pair."""
    from arcface_mx.util.plots import new_figure, save

    figure, axes = new_figure(1, 5.2, 4.2)
    for one in scored:
        roc = roc_curve(one.scores, one.same)
        shown = roc.accepted_different >= 1
        axes[0].plot(roc.far[shown], roc.tar[shown], label=_legend(one), linewidth=1.3)
    axes[0].set_xscale("log")
    axes[0].set_xlabel("FAR: share of different pairs accepted")
    axes[0].set_ylabel("TAR: share of same pairs accepted")
    axes[0].set_ylim(0.0, 1.005)
    axes[0].grid(alpha=0.25, which="both")
    axes[0].legend(fontsize=7, loc="lower right")
    save(figure, path)


def draw_det(scored: Sequence[ScoredPairs], path: str) -> None:
    """Detection error trade-off: false rejections over false acceptances, both on normal-deviate axes."""
    from scipy.stats import norm

    from arcface_mx.util.plots import new_figure, save

    figure, axes = new_figure(1, 4.8, 4.4)
    ticks = np.asarray([0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6])
    for one in scored:
        roc = roc_curve(one.scores, one.same)
        rejected = 1.0 - roc.tar
        # An error rate of 0 has no place on this axis; below one pair nothing is known.
        shown = (roc.accepted_different >= 1) & (rejected * roc.num_same >= 1)
        axes[0].plot(
            norm.ppf(roc.far[shown]),
            norm.ppf(rejected[shown]),
            label=f"{_legend(one)}, EER {100 * equal_error_rate(roc):.1f} %",
            linewidth=1.3,
        )
    axes[0].plot(norm.ppf(ticks[[0, -1]]), norm.ppf(ticks[[0, -1]]), ":", color="grey", linewidth=0.8)
    for axis, name in ((axes[0].xaxis, "false acceptances (FAR), %"), (axes[0].yaxis, "false rejections (1 − TAR), %")):
        axis.set_ticks(norm.ppf(ticks))
        axis.set_ticklabels([f"{100 * tick:g}" for tick in ticks], fontsize=7)
        axis.set_label_text(name)
    axes[0].set_xlim(*norm.ppf(ticks[[0, -1]]))
    axes[0].set_ylim(*norm.ppf(ticks[[0, -1]]))
    axes[0].grid(alpha=0.25)
    axes[0].legend(fontsize=7, loc="upper right")
    save(figure, path)


def _legend(one: ScoredPairs) -> str:
    return f"{one.model}, {one.set}"
