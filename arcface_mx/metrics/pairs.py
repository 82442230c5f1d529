"""Pair verification: k-fold accuracy, TAR at FAR, EER, AUC from the embeddings of image pairs.

The score of a pair is the cosine of its two embeddings. The threshold of a fold is chosen on the
other folds alone (LFW's protocol, View 2).
"""

from __future__ import annotations

import dataclasses
from typing import List, Tuple

import numpy as np

from arcface_mx.metrics.roc import Rates, checked_scores, rates_of, sort_scores, sorted_roc
from arcface_mx.util.errors import UserError

FOLDS = 10
FLIP_TESTS = ("none", "sum")  # the image's embedding; the sum of those of image and mirror image, before normalising
BLOCK = 512  # pairs whose embeddings stay in the processor's cache


@dataclasses.dataclass(frozen=True)
class PairMetrics(Rates):
    """What scored pairs amount to: the rates over all of them, and accuracy by folds.

    accuracy, std: mean and standard deviation (over the folds, ddof 0) of the folds' accuracy.
    thresholds: the cosine chosen for each fold.
    """

    accuracy: float
    std: float
    fold_accuracies: Tuple[float, ...]
    thresholds: Tuple[float, ...]


def lengths(embeddings: np.ndarray, name: str = "embeddings") -> np.ndarray:
    """Euclidean lengths of rows: (n,). Raises UserError at a row of zeros, NaN or infinity."""
    if embeddings.ndim != 2:
        raise UserError(f"{name}: shape {embeddings.shape}, not (images, d)")
    squares = np.einsum("nd,nd->n", embeddings, embeddings)
    bad = np.flatnonzero(~(np.isfinite(squares) & (squares > 0)))
    if bad.size:
        kind = "a zero vector" if squares[bad[0]] == 0 else "not finite"
        raise UserError(
            f"{name}: the embedding of image {bad[0]} is {kind} ({bad.size} of {len(squares)} such); the "
            "model is broken or untrained"
        )
    return np.sqrt(squares)


def unit_vectors(embeddings: np.ndarray, name: str = "embeddings") -> np.ndarray:
    """Rows divided by their length: (n, d). Raises UserError at a row of zeros, NaN or infinity."""
    return embeddings / lengths(embeddings, name)[:, None]


def pair_scores(embeddings: np.ndarray, left: np.ndarray, right: np.ndarray, name: str = "embeddings") -> np.ndarray:
    """Cosines of pairs: (P,) float64.

    embeddings: (M, d), one a distinct image, not normalised. left, right: (P,) row numbers.
    Raises UserError at a row of zeros, NaN or infinity.
    """
    long = lengths(embeddings, name).astype(np.float64)
    products = np.empty(len(left))
    for start in range(0, len(left), BLOCK):
        block = slice(start, start + BLOCK)
        products[block] = np.einsum("pd,pd->p", embeddings[left[block]], embeddings[right[block]])
    return products / (long[left] * long[right])


def fold_slices(count: int, folds: int, name: str = "pairs") -> List[slice]:
    """Consecutive folds in the file's order, as sklearn's KFold: the first count % folds are one larger.

    Raises UserError when there are fewer than 2 folds, or fewer pairs than folds.
    """
    if folds < 2 or count < folds:
        raise UserError(f"{name}: {count} pairs do not make {folds} folds; choose 2 to {count} with --folds")
    ends = np.cumsum([count // folds + (fold < count % folds) for fold in range(folds)])
    return [slice(int(first), int(last)) for first, last in zip(np.append(0, ends[:-1]), ends)]


def evaluate(scores: np.ndarray, same: np.ndarray, folds: int = FOLDS, name: str = "pairs") -> PairMetrics:
    """Metrics of scored pairs. scores: (P,), higher means more alike; same: (P,) bool.

    Raises UserError when a score is not finite, when there are too few pairs for the folds, or when
    the pairs outside a fold are all same or all different (no threshold can be chosen there).
    """
    scores, same = checked_scores(scores, same, name)
    slices = fold_slices(len(scores), folds, name)
    order, ranked, ranked_same = sort_scores(scores, same)
    thresholds, accuracies = [], []
    for fold, held_out in enumerate(slices):
        others = (order < held_out.start) | (order >= held_out.stop)
        if ranked_same[others].all() or not ranked_same[others].any():
            raise UserError(f"{name}: outside fold {fold} all pairs are alike (same or different); fewer --folds?")
        threshold = best_threshold(ranked[others], ranked_same[others])
        thresholds.append(threshold)
        accuracies.append(float(np.mean((scores[held_out] >= threshold) == same[held_out])))
    rates = rates_of(sorted_roc(ranked, ranked_same), name)
    return PairMetrics(
        accuracy=float(np.mean(accuracies)),
        std=float(np.std(accuracies)),
        fold_accuracies=tuple(accuracies),
        thresholds=tuple(thresholds),
        **vars(rates),
    )


def best_threshold(scores: np.ndarray, same: np.ndarray) -> float:
    """The threshold that decides most pairs rightly; scores fall.

    It lies halfway between two neighbouring scores, or just above the highest, or at the lowest. Of
    several equally good ones the middle one is taken, so that neither error is favoured.
    """
    roc = sorted_roc(scores, same)
    right = roc.accepted_same + (roc.num_different - roc.accepted_different)
    best = np.flatnonzero(right == right.max())
    point = int(best[len(best) // 2])  # accepts the `point` highest distinct scores
    if point == 0:
        return float(np.nextafter(roc.thresholds[0], np.inf))
    if point == len(roc.thresholds):
        return float(roc.thresholds[-1])
    upper, lower = roc.thresholds[point - 1], roc.thresholds[point]
    middle = lower + (upper - lower) / 2
    return float(middle if middle > lower else upper)
