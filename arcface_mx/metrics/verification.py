"""Verification: ROC, TAR at FAR, EER, AUC and k-fold accuracy of scored pairs.

A pair is accepted when its score is at least the threshold. TAR is the share of same pairs that are
accepted, FAR the share of different pairs that are accepted. Every distinct score is a threshold,
and pairs with equal scores are accepted together.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Dict, NamedTuple, Optional, Tuple

import numpy as np

from arcface_mx.util.errors import UserError

FAR_LEVELS = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
FOLDS = 10
# The embedding of the image, or the sum of the embeddings of image and mirror image.
FLIP_TESTS = ("none", "sum")
# How the threshold of a fold is chosen: exactly, or on the released evaluation's grid of squared distances.
PROTOCOLS = ("exact", "insightface")
GRID = np.arange(0.0, 4.0, 0.01)


def plain_values(rates: Any) -> Dict[str, Any]:
    """The fields of a dataclass of rates, with plain keys.

    Parameters
    ----------
    rates : dataclass
        Its dicts have FAR levels or ranks as keys.

    Returns
    -------
    dict
        With FAR levels such as "1e-03" and ranks such as "5".
    """

    def plain(level: Any) -> str:
        return f"{level:.0e}" if isinstance(level, float) else str(level)

    return {
        name: {plain(level): rate for level, rate in value.items()} if isinstance(value, dict) else value
        for name, value in dataclasses.asdict(rates).items()
    }


@dataclasses.dataclass(frozen=True)
class Rates:
    """Error rates of scored pairs, between 0 and 1.

    Parameters
    ----------
    tar_at_far : dict
        TAR by FAR level; None where there are fewer than 1 / FAR different pairs.
    eer : float
        Equal error rate.
    auc : float
        Area under the ROC curve.
    num_same, num_different : int
        Number of pairs of each kind.
    """

    tar_at_far: Dict[float, Optional[float]]
    eer: float
    auc: float
    num_same: int
    num_different: int

    def to_json(self) -> Dict[str, object]:
        """Return plain values, with FAR levels as strings such as "1e-03".

        Returns
        -------
        dict
        """
        return plain_values(self)


@dataclasses.dataclass(frozen=True)
class PairMetrics(Rates):
    """Error rates over all pairs, and accuracy over folds.

    Parameters
    ----------
    accuracy, std : float
        Mean and standard deviation (ddof 0) of the accuracy over the folds.
    fold_accuracies : tuple of float
    thresholds : tuple of float
        The threshold chosen for each fold.
    tar_at_far : dict
        TAR by FAR level; None where there are fewer than 1 / FAR different pairs.
    eer : float
        Equal error rate.
    auc : float
        Area under the ROC curve.
    num_same, num_different : int
        Number of pairs of each kind.
    """

    accuracy: float
    std: float
    fold_accuracies: Tuple[float, ...]
    thresholds: Tuple[float, ...]


class Roc(NamedTuple):
    """Operating points of scored pairs, from "accept nothing" to "accept all".

    Attributes
    ----------
    far, tar : ndarray of shape (K + 1,)
        Rates at each point; both rise from 0 to 1.
    thresholds : ndarray of shape (K + 1,)
        The distinct scores in falling order, after one above all scores.
    num_same, num_different : int
        Number of pairs of each kind.
    """

    far: np.ndarray
    tar: np.ndarray
    thresholds: np.ndarray
    num_same: int
    num_different: int

    @property
    def accepted_different(self) -> np.ndarray:
        """Number of different pairs accepted at each point."""
        return np.rint(self.far * self.num_different).astype(np.int64)


def roc_curve(scores: np.ndarray, same: np.ndarray, name: str = "pairs") -> Roc:
    """Operating points of scored pairs.

    Parameters
    ----------
    scores : ndarray of shape (P,)
        Higher means more alike.
    same : ndarray of bool, shape (P,)
    name : str
        What error messages call the pairs.

    Returns
    -------
    Roc

    Raises
    ------
    UserError
        If a score is not finite, or all pairs are of one kind.
    """
    from sklearn import metrics

    scores, same = checked_scores(scores, same, name)
    num_same = int(np.count_nonzero(same))
    far, tar, thresholds = metrics.roc_curve(same, scores, drop_intermediate=False)
    return Roc(far, tar, thresholds, num_same, len(same) - num_same)


def allowed_accepts(far: float, different: int) -> int:
    """How many of `different` pairs may be accepted at this FAR; rounding never costs one."""
    return int(np.floor(far * different + 1e-9))


def tar_at_far(roc: Roc, far: float) -> Optional[float]:
    """Highest TAR at a FAR of at most `far`.

    Parameters
    ----------
    roc : Roc
    far : float

    Returns
    -------
    float or None
        None if there are fewer than 1 / far different pairs: a FAR below one accepted pair cannot
        be measured.
    """
    allowed = allowed_accepts(far, roc.num_different)
    if allowed < 1:
        return None
    return float(roc.tar[np.searchsorted(roc.accepted_different, allowed, side="right") - 1])


def equal_error_rate(roc: Roc) -> float:
    """Rate at which FAR = 1 − TAR, interpolated linearly between operating points.

    Parameters
    ----------
    roc : Roc

    Returns
    -------
    float
    """
    return float(np.interp(0.0, roc.far - (1.0 - roc.tar), roc.far))


def error_rates(scores: np.ndarray, same: np.ndarray, name: str = "pairs") -> Rates:
    """TAR at FAR, EER and AUC of scored pairs, without folds.

    Parameters
    ----------
    scores : ndarray of shape (P,)
        Higher means more alike.
    same : ndarray of bool, shape (P,)
    name : str
        What error messages call the pairs.

    Returns
    -------
    Rates

    Raises
    ------
    UserError
        If a score is not finite, or all pairs are of one kind.
    """
    scores, same = checked_scores(scores, same, name)
    return rates_of(scores[same], scores[~same])


def rates_of(same: np.ndarray, different: np.ndarray) -> Rates:
    """TAR at FAR, EER and AUC of finite scores, by sorting, so that millions of pairs need little memory."""
    same, different = np.sort(same), np.sort(different)
    tar: Dict[float, Optional[float]] = {}
    for far in FAR_LEVELS:
        allowed = allowed_accepts(far, len(different))
        # The highest score that must not pass; its ties must not pass either.
        refused = different[-1 - allowed] if allowed < len(different) else -np.inf
        tar[far] = float(len(same) - np.searchsorted(same, refused, "right")) / len(same) if allowed else None
    wins = sum(float(np.searchsorted(different, same, side).sum()) for side in ("left", "right")) / 2
    auc = wins / (len(same) * len(different))
    return Rates(tar, _sorted_equal_error_rate(same, different), auc, len(same), len(different))


def _sorted_equal_error_rate(same: np.ndarray, different: np.ndarray) -> float:
    """`equal_error_rate` from sorted scores."""

    def point(threshold: float) -> Tuple[float, float]:
        """FAR − (1 − TAR), which falls with the threshold, and FAR."""
        far = (len(different) - np.searchsorted(different, threshold, "left")) / len(different)
        return float(far - np.searchsorted(same, threshold, "left") / len(same)), float(far)

    below = -np.inf  # the highest score at which FAR is at least 1 − TAR
    for scores in (same, different):
        low, high = 0, len(scores)  # it is at the lowest score of each kind
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if point(scores[middle])[0] >= 0 else (low, middle)
        below = max(below, scores[low])
    above = min(
        scores[next_one] if next_one < len(scores) else np.inf
        for scores in (same, different)
        for next_one in [int(np.searchsorted(scores, below, "right"))]
    )
    (x_above, far_above), (x_below, far_below) = point(above), point(below)
    return float(np.interp(0.0, [x_above, x_below], [far_above, far_below]))


def evaluate(
    scores: np.ndarray, same: np.ndarray, folds: int = FOLDS, name: str = "pairs", protocol: str = "exact"
) -> PairMetrics:
    """Error rates and k-fold accuracy of scored pairs.

    Parameters
    ----------
    scores : ndarray of shape (P,)
        Higher means more alike.
    same : ndarray of bool, shape (P,)
    folds : int
        Number of folds. They are consecutive, as in scikit-learn's ``KFold``.
    name : str
        What error messages call the pairs.
    protocol : {"exact", "insightface"}
        How the threshold of a fold is chosen: `best_threshold`, or `best_threshold_on_grid`, for which
        the scores must be cosines.

    Returns
    -------
    PairMetrics

    Raises
    ------
    UserError
        If a score is not finite, there are fewer pairs than folds, or the pairs outside a fold are
        of one kind, so that no threshold can be chosen.

    Notes
    -----
    The threshold of a fold is chosen on the other folds alone: View 2 of LFW's protocol.
    """
    from sklearn.model_selection import KFold

    scores, same = checked_scores(scores, same, name)
    check_folds(len(scores), folds, name)
    thresholds, accuracies = [], []
    for fold, (others, held_out) in enumerate(KFold(folds).split(scores)):
        if protocol == "insightface":
            distance = best_threshold_on_grid(scores[others], same[others])
            accepted, threshold = 2.0 - 2.0 * scores[held_out] < distance, 1.0 - distance / 2.0
        else:
            threshold = best_threshold(scores[others], same[others], f"{name} outside fold {fold}")
            accepted = scores[held_out] >= threshold
        thresholds.append(threshold)
        accuracies.append(float(np.mean(accepted == same[held_out])))
    return PairMetrics(
        accuracy=float(np.mean(accuracies)),
        std=float(np.std(accuracies)),
        fold_accuracies=tuple(accuracies),
        thresholds=tuple(thresholds),
        **vars(error_rates(scores, same, name)),
    )


def best_fold_decisions(scores: np.ndarray, same: np.ndarray, folds: int = FOLDS, name: str = "pairs") -> np.ndarray:
    """Whether each pair is decided correctly at the threshold of its fold, bool of shape (P,)."""
    thresholds = evaluate(scores, same, folds, name).thresholds
    sizes = [len(part) for part in np.array_split(same, folds)]  # consecutive, as in KFold
    return np.asarray((scores >= np.repeat(thresholds, sizes)) == same)


def best_threshold(scores: np.ndarray, same: np.ndarray, name: str = "pairs") -> float:
    """Threshold that decides most pairs correctly.

    It is halfway between two neighbouring scores, or just above the highest, or the lowest score.
    Of several equally good thresholds it is the middle one, so that neither error is favoured.
    """
    roc = roc_curve(scores, same, name)
    correct = np.rint(roc.tar * roc.num_same).astype(np.int64) - roc.accepted_different
    best = np.flatnonzero(correct == correct.max())
    point = int(best[len(best) // 2])  # accepts the `point` highest distinct scores
    if point == 0:
        return float(np.nextafter(roc.thresholds[1], np.inf))
    if point == len(roc.thresholds) - 1:
        return float(roc.thresholds[-1])
    upper, lower = roc.thresholds[point], roc.thresholds[point + 1]
    middle = lower + (upper - lower) / 2
    return float(middle if middle > lower else upper)


def best_threshold_on_grid(cosines: np.ndarray, same: np.ndarray) -> float:
    """Squared distance of unit embeddings below which a pair is accepted, as the released evaluation chooses it.

    It is the smallest of 0, 0.01, …, 3.99 that decides most pairs correctly.
    """
    distances = 2.0 - 2.0 * cosines
    below = [np.searchsorted(np.sort(distances[kind]), GRID, side="left") for kind in (same, ~same)]
    return float(GRID[np.argmax(below[0] - below[1])])


def check_folds(count: int, folds: int, name: str = "pairs") -> None:
    """Raise UserError unless `count` pairs can be split into `folds` folds."""
    if folds < 2 or count < folds:
        raise UserError(f"{name}: {count} pairs do not make {folds} folds; `folds` must be between 2 and {count}")


def checked_scores(scores: np.ndarray, same: np.ndarray, name: str) -> Tuple[np.ndarray, np.ndarray]:
    """Scores as float64 and labels as bool; UserError where they cannot be evaluated."""
    scores, same = np.asarray(scores, np.float64), np.asarray(same, bool)
    if scores.shape != same.shape or scores.ndim != 1:
        raise UserError(f"{name}: {scores.shape} scores for {same.shape} labels")
    if not np.isfinite(scores).all():
        raise UserError(f"{name}: the score of pair {np.flatnonzero(~np.isfinite(scores))[0]} is not finite")
    if same.all() or not same.any():
        num_same = int(np.count_nonzero(same))
        raise UserError(f"{name}: {num_same} same and {len(same) - num_same} different pairs; both kinds are needed")
    return scores, same
