"""Confidence intervals of a false accept rate, and of the accuracy of methods on the same pairs."""

from __future__ import annotations

from typing import Tuple

import numpy as np

CONFIDENCE = 0.95
RESAMPLES = 1000


def binomial_interval(accepted: int, pairs: int) -> Tuple[float, float]:
    """Confidence interval of the accept rate of independent pairs.

    Parameters
    ----------
    accepted : int
        Number of accepted pairs.
    pairs : int
        Number of pairs.

    Returns
    -------
    low, high : float

    Notes
    -----
    Clopper and Pearson, 1934: the ends are quantiles of Beta(k, N − k + 1) and Beta(k + 1, N − k).
    """
    from scipy.stats import beta

    tail = (1 - CONFIDENCE) / 2
    low = beta.ppf(tail, accepted, pairs - accepted + 1) if accepted else 0.0
    high = beta.ppf(1 - tail, accepted + 1, pairs - accepted) if accepted < pairs else 1.0
    return float(low), float(high)


def identity_interval(accepted: np.ndarray, images_per_identity: np.ndarray) -> Tuple[float, float]:
    """Confidence interval of the FAR over all pairs of a labelled set.

    Parameters
    ----------
    accepted : ndarray of int, shape (A, 2)
        The two identities of each accepted pair.
    images_per_identity : ndarray of int, shape (n,)

    Returns
    -------
    low, high : float
        Not narrower than `binomial_interval`.

    Notes
    -----
    Pairs that share an identity are not independent. The bootstrap therefore draws identities, with
    all their images. An identity that is drawn twice counts twice against others and never against
    itself.
    """
    count = len(images_per_identity)
    hits = np.zeros((count, count))
    np.add.at(hits, (accepted[:, 0], accepted[:, 1]), 1)
    draws = np.random.RandomState(0).multinomial(count, np.full(count, 1 / count), RESAMPLES).astype(np.float64)
    rates = np.einsum("rp,pq,rq->r", draws, hits, draws, optimize=True)
    rates /= np.maximum(_different_pairs(draws * images_per_identity), 1)
    low, high = np.quantile(rates, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    independent = binomial_interval(len(accepted), int(_different_pairs(images_per_identity)))
    return min(float(low), independent[0]), max(float(high), independent[1])


def _different_pairs(images: np.ndarray) -> np.ndarray:
    """Number of pairs of images of different identities; the last axis is the identity."""
    return (images.sum(-1) ** 2 - (images**2).sum(-1)) / 2


def resampled_accuracies(correct: np.ndarray, same: np.ndarray, identities: np.ndarray) -> np.ndarray:
    """Accuracies of methods on the same pairs when the identities are drawn again.

    Parameters
    ----------
    correct : ndarray of bool, shape (M, P)
        Whether each of M methods decides each pair correctly.
    same : ndarray of bool, shape (P,)
    identities : ndarray of int, shape (P, 2)
        The identities of the two images of each pair.

    Returns
    -------
    ndarray of shape (M, RESAMPLES)
        All methods have the same draws, so that their differences can be taken.

    Notes
    -----
    A same pair counts as often as its identity is drawn, a different pair as often as the product of
    its identities' draws. Same and different pairs have equal weight, as in LFW's protocol.
    """
    _, numbers = np.unique(identities, return_inverse=True)
    first, second = numbers.reshape(identities.shape).T
    count = int(numbers.max()) + 1
    random = np.random.RandomState(0)
    accuracies = np.empty((len(correct), RESAMPLES))
    for resample in range(RESAMPLES):
        draws = np.bincount(random.randint(count, size=count), minlength=count).astype(np.float64)
        weights = np.where(same, draws[first], draws[first] * draws[second])
        kinds = [correct[:, kind] @ weights[kind] / max(weights[kind].sum(), 1.0) for kind in (same, ~same)]
        accuracies[:, resample] = (kinds[0] + kinds[1]) / 2
    return accuracies


def middle(values: np.ndarray) -> Tuple[float, float]:
    """Return the ends of the middle part of some values, CONFIDENCE of them."""
    low, high = np.quantile(values, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)
