"""Pair verification of 6,000 pairs, against InsightFace's way: 400 thresholds in ten folds, 4,000 for TAR at FAR."""

from __future__ import annotations

from typing import List, Tuple

import numpy as np

from arcface_mx.bench.timing import Timing, compare
from arcface_mx.metrics.similarity import pair_scores
from arcface_mx.metrics.verification import evaluate
from arcface_mx.util.errors import UserError

PAIRS, SIZE, FOLDS = 6000, 512, 10


def measure(repetitions: int) -> List[Timing]:
    """Sets a second, from embeddings to accuracy and TAR. Raises UserError where the accuracies differ."""
    embeddings, same = pairs()
    left, right = np.arange(0, 2 * PAIRS, 2), np.arange(1, 2 * PAIRS, 2)
    grid, exact = by_thresholds(embeddings, same), evaluate(pair_scores(embeddings, left, right), same).accuracy
    if abs(grid - exact) > 2e-3:  # a grid of 0.01 misses the best threshold by a little
        raise UserError(f"bench verify: accuracy {grid:.4f} by thresholds and {exact:.4f} exact")

    def insightface() -> int:
        by_thresholds(embeddings, same)
        return 1

    def ours() -> int:
        evaluate(pair_scores(embeddings, left, right), same)
        return 1

    return compare({"400 thresholds in ten folds (InsightFace)": insightface, "arcface-mx": ours}, repetitions)


def pairs() -> Tuple[np.ndarray, np.ndarray]:
    """Embeddings (12000, 512), neighbours a pair, and whether a pair is one person; about 95 % separable."""
    rng = np.random.default_rng(0)
    same = np.arange(PAIRS) // (PAIRS // (2 * FOLDS)) % 2 == 0
    first, second = rng.normal(size=(2, PAIRS, SIZE)).astype(np.float32)
    second[same] += 0.16 * first[same]
    return np.stack([first, second], axis=1).reshape(-1, SIZE), same


def by_thresholds(embeddings: np.ndarray, same: np.ndarray) -> float:
    """Mean accuracy as verification.py of InsightFace computes it, with its validation rate (TAR at FAR 1e-3)."""
    from sklearn.model_selection import KFold
    from sklearn.preprocessing import normalize

    unit = normalize(embeddings)
    distances = np.sum(np.square(unit[0::2] - unit[1::2]), 1)
    accuracies = []
    for train, test in KFold(n_splits=FOLDS, shuffle=False).split(np.arange(len(same))):
        thresholds = np.arange(0, 4, 0.01)
        scores = [_rates(threshold, distances[train], same[train])[2] for threshold in thresholds]
        # Its code rates the test fold at every threshold too, for the curve.
        rated = [_rates(threshold, distances[test], same[test])[2] for threshold in thresholds]
        accuracies.append(rated[int(np.argmax(scores))])
        far = [_rates(threshold, distances[train], same[train])[1] for threshold in np.arange(0, 4, 0.001)]
        _rates(float(np.searchsorted(far, 1e-3)) * 0.001, distances[test], same[test])
    return float(np.mean(accuracies))


def _rates(threshold: float, distances: np.ndarray, same: np.ndarray) -> Tuple[float, float, float]:
    predicted = np.less(distances, threshold)
    true_positive = np.sum(np.logical_and(predicted, same))
    false_positive = np.sum(np.logical_and(predicted, np.logical_not(same)))
    true_negative = np.sum(np.logical_and(np.logical_not(predicted), np.logical_not(same)))
    false_negative = np.sum(np.logical_and(np.logical_not(predicted), same))
    tpr = true_positive / max(1, true_positive + false_negative)
    fpr = false_positive / max(1, false_positive + true_negative)
    return float(tpr), float(fpr), float(true_positive + true_negative) / len(distances)
