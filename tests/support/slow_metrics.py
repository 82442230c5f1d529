"""Verification metrics, counted pair by pair in exact fractions."""

from __future__ import annotations

from fractions import Fraction

import numpy as np


def accuracy(scores, same, threshold):
    return Fraction(sum((score >= threshold) == label for score, label in zip(scores, same)), len(scores))


def threshold_of(scores, same):
    """Try every cut between neighbouring scores; return the middle one of the best."""
    values = sorted(set(scores), reverse=True)
    cuts = [float(np.nextafter(values[0], np.inf))]
    cuts += [Fraction(a) / 2 + Fraction(b) / 2 for a, b in zip(values, values[1:])]
    cuts += [values[-1]]
    rights = [accuracy(scores, same, cut) for cut in cuts]
    best = [cut for cut, right in zip(cuts, rights) if right == max(rights)]
    return best[len(best) // 2]


def fold_accuracies(scores, same, folds):
    sizes = [len(scores) // folds + (1 if fold < len(scores) % folds else 0) for fold in range(folds)]
    result, start = [], 0
    for size in sizes:
        inside = range(start, start + size)
        outside = [number for number in range(len(scores)) if number not in inside]
        threshold = threshold_of([scores[k] for k in outside], [same[k] for k in outside])
        result.append(accuracy([scores[k] for k in inside], [same[k] for k in inside], threshold))
        start += size
    return result


def rates(scores, same, threshold):
    """(TAR, FAR) of accepting scores at or above the threshold."""
    positives = [score for score, label in zip(scores, same) if label]
    negatives = [score for score, label in zip(scores, same) if not label]
    return (
        Fraction(sum(score >= threshold for score in positives), len(positives)),
        Fraction(sum(score >= threshold for score in negatives), len(negatives)),
    )


def operating_points(scores, same):
    """[(TAR, FAR)] from nothing accepted to all accepted."""
    points = [(Fraction(0), Fraction(0))]
    return points + [rates(scores, same, threshold) for threshold in sorted(set(scores), reverse=True)]


def tar_at_far(scores, same, far):
    if sum(not label for label in same) * far < 1:
        return None
    return max(tar for tar, false in operating_points(scores, same) if false <= far)


def auc(scores, same):
    """Count of same pairs that outscore different ones, ties half."""
    wins = Fraction(0)
    for score, label in zip(scores, same):
        for other, other_label in zip(scores, same):
            if label and not other_label:
                wins += Fraction(score > other) + Fraction(score == other) / 2
    return wins / (sum(same) * (len(same) - sum(same)))


def equal_error_rate(scores, same):
    """Where the line from point to point meets FAR = 1 − TAR."""
    points = operating_points(scores, same)
    for (tar0, far0), (tar1, far1) in zip(points, points[1:]):
        gap0, gap1 = far0 + tar0 - 1, far1 + tar1 - 1
        if gap0 < 0 <= gap1:
            return far0 + (far1 - far0) * (-gap0) / (gap1 - gap0)
    raise AssertionError("the line is always met")
