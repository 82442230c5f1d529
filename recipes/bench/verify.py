"""Scores and metrics of 6,000 pairs; baseline: 400 thresholds in ten folds, as InsightFace does it."""

from __future__ import annotations

from typing import Callable, List, Tuple

import numpy as np
from cases import Case

from arcface_mx.metrics.similarity import pair_scores
from arcface_mx.metrics.verification import evaluate

PAIRS, SIZE, FOLDS = 6000, 512, 10


def cases() -> List[Case]:
    """Verification sets per second, from embeddings to accuracy and TAR."""
    return [
        Case("400 thresholds in ten folds (InsightFace)", setup, {"exact": False}),
        Case("arcface-mx", setup, {"exact": True}),
    ]


def setup(exact: bool) -> Callable[[], int]:
    """One way of measuring a set; `tests/bench` checks that both give the same accuracy."""
    embeddings, same = random_pairs()
    accuracy = exact_accuracy if exact else accuracy_by_thresholds

    def run() -> int:
        accuracy(embeddings, same)
        return 1

    return run


def random_pairs() -> Tuple[np.ndarray, np.ndarray]:
    """Embeddings (12000, 512), of which two neighbours are a pair, and which pairs are same; about 95 % separable."""
    random = np.random.default_rng(0)
    same = np.arange(PAIRS) // (PAIRS // (2 * FOLDS)) % 2 == 0
    first, second = random.normal(size=(2, PAIRS, SIZE)).astype(np.float32)
    second[same] += 0.16 * first[same]
    return np.stack([first, second], axis=1).reshape(-1, SIZE), same


def exact_accuracy(embeddings: np.ndarray, same: np.ndarray) -> float:
    """Mean accuracy over ten folds, as this package computes it from one sort."""
    left, right = np.arange(0, 2 * PAIRS, 2), np.arange(1, 2 * PAIRS, 2)
    return evaluate(pair_scores(embeddings, left, right), same).accuracy


def accuracy_by_thresholds(embeddings: np.ndarray, same: np.ndarray) -> float:
    """Mean accuracy as InsightFace's verification.py computes it, with its validation rate (TAR at FAR 1e-3)."""
    from sklearn.model_selection import KFold
    from sklearn.preprocessing import normalize

    unit = normalize(embeddings)
    distances = np.sum(np.square(unit[0::2] - unit[1::2]), 1)
    accuracies = []
    thresholds = np.arange(0, 4, 0.01)
    for train, test in KFold(n_splits=FOLDS).split(distances):
        scores = [_rates(threshold, distances[train], same[train])[1] for threshold in thresholds]
        # InsightFace computes the rates of the test fold at every threshold too, for its curve.
        rates = [_rates(threshold, distances[test], same[test])[1] for threshold in thresholds]
        accuracies.append(rates[int(np.argmax(scores))])
        far = [_rates(threshold, distances[train], same[train])[0] for threshold in np.arange(0, 4, 0.001)]
        _rates(float(np.searchsorted(far, 1e-3)) * 0.001, distances[test], same[test])
    return float(np.mean(accuracies))


def _rates(threshold: float, distances: np.ndarray, same: np.ndarray) -> Tuple[float, float]:
    """False positive rate and accuracy."""
    predicted = np.less(distances, threshold)
    true_positive = np.sum(np.logical_and(predicted, same))
    false_positive = np.sum(np.logical_and(predicted, np.logical_not(same)))
    true_negative = np.sum(np.logical_and(np.logical_not(predicted), np.logical_not(same)))
    false_negative = np.sum(np.logical_and(np.logical_not(predicted), same))
    total = true_positive + false_positive + true_negative + false_negative
    return float(false_positive / (false_positive + true_negative)), float((true_positive + true_negative) / total)
