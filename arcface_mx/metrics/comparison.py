"""Whether two models differ on the same pairs by more than noise."""

from __future__ import annotations

from typing import Dict, NamedTuple, Sequence

import numpy as np

from arcface_mx.metrics.estimates import Influence, best_accuracy, influences, variance
from arcface_mx.metrics.identity_bootstrap import PairIdentities, best_accuracy_draws, pair_weights
from arcface_mx.metrics.intervals import middle
from arcface_mx.metrics.verification import FOLDS, best_fold_decisions


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
        return bool(self.low > 0 or self.high < 0)


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
    first: np.ndarray, second: np.ndarray, same: np.ndarray, identities: PairIdentities
) -> Dict[str, Difference]:
    """Differences of best accuracy, EER and TAR at FAR of two models on the same pairs.

    Parameters
    ----------
    first, second : ndarray of shape (P,)
        The scores of each model.
    same : ndarray of bool, shape (P,)
    identities : PairIdentities

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
    A paired bootstrap over identities. A different pair weighs the product of its identities' draws,
    which counts the noise of a single pair three times; the draws are therefore scaled to the variance
    that `estimates.variance` states.
    """
    models = [np.asarray(scores, np.float64) for scores in (first, second)]
    ours, theirs = (influences(scores, same, 0) for scores in models)
    found = {"best accuracy": difference_of_best_accuracy(models, same, identities)}
    found.update({name: difference(value, theirs[name], identities) for name, value in ours.items()})
    return found


def difference_of_best_accuracy(
    scores: Sequence[np.ndarray], same: np.ndarray, identities: PairIdentities
) -> Difference:
    """Difference of the accuracies of two models, each at the threshold that is best for all pairs.

    Parameters
    ----------
    scores : sequence of two ndarrays of float64, shape (P,)
    same : ndarray of bool, shape (P,)
    identities : PairIdentities

    Returns
    -------
    Difference

    Notes
    -----
    As in `compare`, and each draw chooses its thresholds. The accuracy over folds is not compared: the
    thresholds that its folds choose add a noise that no draw shows.
    """
    ours, theirs = (best_accuracy(values, same) for values in scores)
    chosen, fixed = best_accuracy_draws(scores, same, identities)
    gap, linear = chosen[0] - chosen[1], fixed[0] - fixed[1]
    spread = np.sqrt(variance(ours.contributions - theirs.contributions, identities))
    scale = spread / linear.std() if linear.std() > 1e-9 else 1.0
    low, high = middle((gap - gap.mean()) * scale)
    shift = ours.value - theirs.value
    return Difference(ours.value, theirs.value, shift + low, shift + high)


def difference(first: Influence, second: Influence, identities: PairIdentities) -> Difference:
    """Difference of a metric of two models on the same pairs; see `compare`.

    Parameters
    ----------
    first, second : Influence
    identities : PairIdentities

    Returns
    -------
    Difference
    """
    gap = first.contributions - second.contributions
    draws = np.concatenate([weights @ gap for weights in pair_weights(identities)])
    scale = np.sqrt(variance(gap, identities)) / draws.std() if draws.std() > 0 else 0.0
    low, high = middle((draws - draws.mean()) * scale)
    shift = first.value - second.value
    return Difference(first.value, second.value, shift + low, shift + high)


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
