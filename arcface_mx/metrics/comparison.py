"""Whether two models differ on the same pairs by more than noise."""

from __future__ import annotations

from typing import Dict, NamedTuple, Sequence

import numpy as np

from arcface_mx.metrics.estimates import PairIdentities, influences, variance
from arcface_mx.metrics.intervals import CONFIDENCE, RESAMPLES
from arcface_mx.metrics.verification import FOLDS, best_fold_decisions

BLOCK = 64  # draws whose weights are held at a time


class Difference(NamedTuple):
    """A metric of two models.

    Attributes
    ----------
    first, second : float
        The metric of each model.
    low, high : float
        95 % interval of `first` − `second`.
    """

    first: float
    second: float
    low: float
    high: float

    @property
    def beyond_noise(self) -> bool:
        """Whether the interval of the difference does not contain 0."""
        return self.low > 0 or self.high < 0


class McNemar(NamedTuple):
    """Pairs that only one of two models decides correctly.

    Attributes
    ----------
    only_first, only_second : int
        Number of pairs that only the first, or only the second model decides correctly.
    p_value : float
        Of the exact test that both numbers have the same mean. It takes pairs as independent.
    """

    only_first: int
    only_second: int
    p_value: float


def compare(
    first: np.ndarray, second: np.ndarray, same: np.ndarray, identities: PairIdentities, folds: int = FOLDS
) -> Dict[str, Difference]:
    """Differences of accuracy, EER and TAR at FAR of two models on the same pairs.

    Parameters
    ----------
    first, second : ndarray of shape (P,)
        The scores of each model.
    same : ndarray of bool, shape (P,)
    identities : PairIdentities
    folds : int
        Number of folds of the accuracy.

    Returns
    -------
    dict of str to Difference
        By the names of `influences`.

    Raises
    ------
    UserError
        If the scores cannot be evaluated.

    Notes
    -----
    A paired bootstrap over identities, see `bootstrap_interval`.
    """
    ours, theirs = (influences(scores, same, folds) for scores in (first, second))
    found = {}
    for name, value in ours.items():
        other = theirs[name]
        low, high = bootstrap_interval(value.contributions - other.contributions, identities)
        shift = value.value - other.value
        found[name] = Difference(value.value, other.value, shift + low, shift + high)
    return found


def bootstrap_interval(
    contributions: np.ndarray, identities: PairIdentities, resamples: int = RESAMPLES
) -> Sequence[float]:
    """Ends of the 95 % interval of a sum of contributions, by a bootstrap over identities.

    Parameters
    ----------
    contributions : ndarray of shape (P,)
        Their sum is 0.
    identities : PairIdentities
    resamples : int

    Returns
    -------
    low, high : float

    Notes
    -----
    Identities are drawn with replacement. A same pair weighs as often as its identity was drawn, a
    different pair the product of both. Products count the noise of a single pair three times, so the
    draws are scaled to the variance that `estimates.variance` states.
    """
    spread = np.sqrt(variance(contributions, identities))
    if spread == 0:
        return 0.0, 0.0
    names, rows = np.unique(np.concatenate(identities), return_inverse=True)
    left, right = np.split(rows, 2)
    mixed, random, sums = left != right, np.random.RandomState(0), []
    for start in range(0, resamples, BLOCK):
        draws = min(BLOCK, resamples - start)
        weights = random.multinomial(len(names), np.full(len(names), 1 / len(names)), draws).astype(np.float32)
        products = weights[:, left] * np.where(mixed, weights[:, right], 1)
        sums.append(products @ contributions)
    values = np.concatenate(sums)
    values -= values.mean()
    low, high = np.quantile(values * (spread / max(values.std(), 1e-300)), [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def mcnemar(first: np.ndarray, second: np.ndarray, same: np.ndarray, folds: int = FOLDS) -> McNemar:
    """McNemar's exact test of the decisions of two models, each at its folds' thresholds.

    Parameters
    ----------
    first, second : ndarray of shape (P,)
        The scores of each model.
    same : ndarray of bool, shape (P,)
    folds : int

    Returns
    -------
    McNemar

    Raises
    ------
    UserError
        If the scores cannot be evaluated.
    """
    from scipy.stats import binom

    ours, theirs = (best_fold_decisions(scores, same, folds) for scores in (first, second))
    counts = int(np.count_nonzero(ours & ~theirs)), int(np.count_nonzero(theirs & ~ours))
    p_value = min(1.0, 2 * float(binom.cdf(min(counts), sum(counts), 0.5)))
    return McNemar(*counts, p_value)
