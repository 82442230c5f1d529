"""Metrics of scored pairs with 95 % intervals, where pairs share identities.

Two pairs with an identity in common are not independent, so a set of 6,000 pairs says less than 6,000
independent ones. Each metric is written as its value plus a sum of one contribution for each pair (its
influence). The variance of the sum counts the covariance of all pairs that share an identity, each once:
the plug-in estimator of Fogliato, Patil and Perona ("Confidence Intervals for Error Rates in 1:1 Matching
Tasks", IJCV 2024). Wilson's interval with the effective number of pairs follows from it.
"""

from __future__ import annotations

from typing import Dict, NamedTuple, Optional, Tuple

import numpy as np

from arcface_mx.metrics.identity_bootstrap import PairIdentities
from arcface_mx.metrics.intervals import CONFIDENCE
from arcface_mx.metrics.verification import (
    FAR_LEVELS,
    FOLDS,
    allowed_accepts,
    best_fold_decisions,
    best_threshold,
    checked_scores,
)


class Influence(NamedTuple):
    """A metric and what each pair contributes to its error.

    Attributes
    ----------
    value : float
    contributions : ndarray of shape (P,)
        The metric's deviation from its true value is about the sum of the contributions, which is 0
        over the measured pairs.
    """

    value: float
    contributions: np.ndarray


class Estimate(NamedTuple):
    """A rate with its 95 % interval.

    Attributes
    ----------
    value, low, high : float
        Between 0 and 1.
    """

    value: float
    low: float
    high: float


def variance(contributions: np.ndarray, identities: PairIdentities) -> float:
    """Variance of a sum of contributions, where pairs that share an identity are dependent.

    Parameters
    ----------
    contributions : ndarray of shape (P,)
    identities : PairIdentities

    Returns
    -------
    float
        At least the variance where only pairs of the same two identities are dependent, and at least
        that of independent pairs.
    """
    first, second = np.minimum(*identities), np.maximum(*identities)
    count = int(second.max()) + 1
    mixed = first != second
    sums = np.bincount(first, contributions, count) + np.bincount(second[mixed], contributions[mixed], count)
    _, group = np.unique(first.astype(np.int64) * count + second, return_inverse=True)
    of_group = np.bincount(group, contributions) ** 2  # of all pairs of the same two identities
    twice = np.bincount(group, mixed) > 0  # those of two identities are in the sums of both
    total = max(np.sum(sums**2) - np.sum(of_group[twice]), np.sum(of_group))
    used = np.count_nonzero(np.bincount(np.concatenate([first, second]), minlength=count))
    return float(max(total * used / max(used - 1, 1), np.sum(contributions**2)))


def estimate(influence: Influence, identities: PairIdentities, more: float = 0.0) -> Estimate:
    """Wilson's interval with the effective number of pairs.

    Parameters
    ----------
    influence : Influence
        Of a rate.
    identities : PairIdentities
    more : float
        Variance that the contributions do not show.

    Returns
    -------
    Estimate

    Notes
    -----
    Where no pair shows an error, or all do, the number of identities counts as the number of pairs.
    """
    from scipy.stats import norm

    rate, spread = influence.value, variance(influence.contributions, identities) + more
    if rate * (1 - rate) > 0 and spread > 0:
        effective = rate * (1 - rate) / spread
    else:
        effective = float(len(np.unique(np.concatenate(identities))))
    z = float(norm.ppf((1 + CONFIDENCE) / 2))
    centre = (rate + z**2 / (2 * effective)) / (1 + z**2 / effective)
    half = z * np.sqrt(rate * (1 - rate) / effective + z**2 / (4 * effective**2)) / (1 + z**2 / effective)
    return Estimate(rate, float(max(centre - half, 0.0)), float(min(centre + half, 1.0)))


def share(hits: np.ndarray, of: np.ndarray, weights: Optional[np.ndarray] = None) -> Influence:
    """The share of hits among the pairs `of`.

    Parameters
    ----------
    hits, of : ndarray of bool, shape (P,)
    weights : ndarray of shape (P,), optional
        Weights of the pairs.

    Returns
    -------
    Influence
        Of all P pairs; pairs outside `of` contribute nothing.
    """
    weight = np.where(of, 1.0 if weights is None else weights, 0.0)
    weight /= weight.sum()
    value = float(weight @ hits)
    return Influence(value, weight * (hits - value))


def influences(scores: np.ndarray, same: np.ndarray, folds: int = FOLDS, name: str = "pairs") -> Dict[str, Influence]:
    """Accuracy, EER and TAR at each FAR that can be measured.

    Parameters
    ----------
    scores : ndarray of shape (P,)
        Higher means more alike.
    same : ndarray of bool, shape (P,)
    folds : int
        Number of consecutive folds of the accuracy; 0 leaves it out.
    name : str
        What error messages call the pairs.

    Returns
    -------
    dict of str to Influence
        By ``"accuracy"``, ``"EER"``, ``"TAR@FAR=1e-03"`` and so on. FNMR at FMR is 1 − TAR at FAR.

    Raises
    ------
    UserError
        If the scores cannot be evaluated, see `evaluate`.
    """
    scores, same = checked_scores(scores, same, name)
    found = {}
    if folds:
        found["accuracy"] = accuracy(scores, same, folds, name)
    found["EER"] = equal_error(scores, same)
    for far in FAR_LEVELS:
        if allowed_accepts(far, int(np.count_nonzero(~same))) >= 1:
            found[f"TAR@FAR={far:.0e}"] = tar_influence(scores, same, far)
    return found


def accuracy(scores: np.ndarray, same: np.ndarray, folds: int = FOLDS, name: str = "pairs") -> Influence:
    """Mean accuracy of the folds, each with the threshold that is best for the other folds.

    Parameters
    ----------
    scores : ndarray of float64, shape (P,)
    same : ndarray of bool, shape (P,)
    folds : int
    name : str

    Returns
    -------
    Influence
    """
    sizes = [len(part) for part in np.array_split(same, folds)]
    return _of_both_kinds(best_fold_decisions(scores, same, folds, name), same, np.repeat(1 / np.asarray(sizes), sizes))


def best_accuracy(scores: np.ndarray, same: np.ndarray, name: str = "pairs") -> Influence:
    """Accuracy at the threshold that is best for all pairs.

    Parameters
    ----------
    scores : ndarray of float64, shape (P,)
    same : ndarray of bool, shape (P,)
    name : str

    Returns
    -------
    Influence
    """
    return _of_both_kinds((scores >= best_threshold(scores, same, name)) == same, same, np.ones(len(same)))


def _of_both_kinds(correct: np.ndarray, same: np.ndarray, weights: np.ndarray) -> Influence:
    """Weighted accuracy, where the numbers of same and of different pairs are fixed."""
    weights = weights / weights.sum()
    parts = [(weights[kind].sum(), share(correct, kind, weights)) for kind in (same, ~same)]
    contributions = sum((weight * part.contributions for weight, part in parts), np.zeros(len(same)))
    return Influence(float(sum(weight * part.value for weight, part in parts)), contributions)


def tar_influence(scores: np.ndarray, same: np.ndarray, far: float) -> Influence:
    """TAR at a FAR. The threshold's error follows from that of the FAR.

    Parameters
    ----------
    scores : ndarray of float64, shape (P,)
    same : ndarray of bool, shape (P,)
    far : float
        At least 1 / number of different pairs.

    Returns
    -------
    Influence

    Notes
    -----
    The slope of TAR over FAR is measured over the standard error of FAR to either side (Woodruff, 1952),
    so that no density has to be estimated.
    """
    falling, matches = -np.sort(-scores[~same]), np.sort(scores[same])

    def tar(accepted: int) -> float:
        refused = falling[accepted] if accepted < len(falling) else -np.inf
        return float(1 - np.searchsorted(matches, refused, "right") / len(matches))

    allowed = allowed_accepts(far, len(falling))
    refused = falling[allowed] if allowed < len(falling) else -np.inf
    accepts = share(scores > refused, same)
    alarms = share(scores > refused, ~same)
    spread = max(1, int(round(len(falling) * np.sqrt(max(alarms.value, 1 / len(falling)) / len(falling)))))
    below, above = max(allowed - spread, 0), min(allowed + spread, len(falling))
    steps = (
        (tar(allowed) - tar(below)) / max(allowed - below, 1),
        (tar(above) - tar(allowed)) / max(above - allowed, 1),
    )
    slope = len(falling) * float(np.sqrt(np.mean(np.square(steps))))  # an error is as likely to either side
    return Influence(accepts.value, accepts.contributions - slope * alarms.contributions)


def equal_error(scores: np.ndarray, same: np.ndarray) -> Influence:
    """Equal error rate. The densities of both kinds weigh the errors of FAR and FRR.

    Parameters
    ----------
    scores : ndarray of float64, shape (P,)
    same : ndarray of bool, shape (P,)

    Returns
    -------
    Influence
    """
    matches, others = np.sort(scores[same]), np.sort(scores[~same])
    thresholds = np.append(np.unique(scores), np.inf)
    far = 1 - np.searchsorted(others, thresholds, "left") / len(others)
    frr = np.searchsorted(matches, thresholds, "left") / len(matches)
    gap = frr - far  # rises strictly from −1 to 1
    value = float(np.interp(0.0, gap, far))
    place = int(np.searchsorted(gap, 0.0))
    alarms, rejects = share(scores >= thresholds[place], ~same), share(scores < thresholds[place], same)
    spread = np.sqrt(max(value, 1 / len(matches)) * (1 / len(matches) + 1 / len(others)))
    low, high = np.interp([-spread, spread], gap, far), np.interp([-spread, spread], gap, frr)
    of_same = (high[1] - high[0]) / max((high[1] - high[0]) + (low[0] - low[1]), 1e-12)
    return Influence(value, of_same * alarms.contributions + (1 - of_same) * rejects.contributions)


def estimates(
    scores: np.ndarray, same: np.ndarray, identities: PairIdentities, folds: int = FOLDS, name: str = "pairs"
) -> Dict[str, Estimate]:
    """Accuracy, EER and TAR at FAR with 95 % intervals; the parameters are those of `influences`.

    Parameters
    ----------
    scores : ndarray of shape (P,)
    same : ndarray of bool, shape (P,)
    identities : PairIdentities
    folds : int
    name : str

    Returns
    -------
    dict of str to Estimate

    Raises
    ------
    UserError
        If the scores cannot be evaluated.

    Notes
    -----
    The accuracy also varies with the thresholds that the folds choose. Half of the squared gap to the
    accuracy at the best threshold stands for that variance. The share is not derived: it was chosen on
    simulated sets (`recipes/bench/interval_coverage.py`).
    """
    found = influences(scores, same, folds, name)
    more = dict.fromkeys(found, 0.0)
    if "accuracy" in found:
        more["accuracy"] = (best_accuracy(scores, same, name).value - found["accuracy"].value) ** 2 / 2
    return {key: estimate(value, identities, more[key]) for key, value in found.items()}


def rates_at(
    scores: np.ndarray, same: np.ndarray, identities: PairIdentities, threshold: float
) -> Tuple[Optional[Estimate], Optional[Estimate]]:
    """FMR and FNMR at a threshold that was fixed elsewhere.

    Parameters
    ----------
    scores : ndarray of shape (P,)
    same : ndarray of bool, shape (P,)
    identities : PairIdentities
    threshold : float
        Pairs with at least this score are accepted.

    Returns
    -------
    fmr, fnmr : Estimate or None
        None where there are no different, or no same pairs.
    """
    accepted, found = scores >= threshold, []
    for hits, rows in ((accepted, ~same), (~accepted, same)):
        every = np.ones(np.count_nonzero(rows), bool)
        found.append(estimate(share(hits[rows], every), identities.take(rows)) if len(every) else None)
    return found[0], found[1]
