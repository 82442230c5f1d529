"""Bootstrap over identities: how metrics vary when the identities of a set are drawn again."""

from __future__ import annotations

from typing import Iterator, List, NamedTuple, Sequence, Tuple

import numpy as np

from arcface_mx.metrics.intervals import RESAMPLES

DRAWS = 300  # of `accuracy_draws`; their variance is all that is used
BLOCK = 64  # draws whose weights are held at a time


class PairIdentities(NamedTuple):
    """The identities of each pair, numbered from 0.

    Attributes
    ----------
    first, second : ndarray of int, shape (P,)
        They are equal in a same pair.
    """

    first: np.ndarray
    second: np.ndarray

    def take(self, rows: np.ndarray) -> PairIdentities:
        """Return the identities of some of the pairs.

        Parameters
        ----------
        rows : ndarray of bool or int

        Returns
        -------
        PairIdentities
        """
        return PairIdentities(self.first[rows], self.second[rows])


def pair_weights(identities: PairIdentities, resamples: int = RESAMPLES) -> Iterator[np.ndarray]:
    """Yield weights of the pairs, float32 of shape (draws, P), until all draws are done.

    Parameters
    ----------
    identities : PairIdentities
    resamples : int

    Yields
    ------
    ndarray
        A same pair weighs as often as its identity was drawn, a different pair the product of both.
    """
    names, rows = np.unique(np.concatenate(identities), return_inverse=True)
    left, right = np.split(rows, 2)
    mixed, random = left != right, np.random.RandomState(0)
    for start in range(0, resamples, BLOCK):
        draws = random.multinomial(
            len(names), np.full(len(names), 1 / len(names)), min(BLOCK, resamples - start)
        ).astype(np.float32)
        yield draws[:, left] * np.where(mixed, draws[:, right], 1)


def accuracy_draws(
    scores: Sequence[np.ndarray], same: np.ndarray, identities: PairIdentities, folds: int, resamples: int = DRAWS
) -> Tuple[np.ndarray, np.ndarray]:
    """Accuracies of M models on drawn identities, with chosen and with fixed thresholds.

    Parameters
    ----------
    scores : sequence of M ndarrays of shape (P,)
        All models have the same draws, so that their differences can be taken.
    same : ndarray of bool, shape (P,)
    identities : PairIdentities
    folds : int
        Number of consecutive folds.
    resamples : int

    Returns
    -------
    chosen : ndarray of shape (M, resamples)
        Each fold of a draw has the threshold that is best for the draw's other folds.
    fixed : ndarray of shape (M, resamples)
        At the threshold that is best for the set itself. The variance of `chosen` over that of `fixed`
        says what the choice of the threshold adds.
    """
    sizes = [len(part) for part in np.array_split(same, folds)]
    fold = np.repeat(np.arange(folds), sizes)
    share = 1 / (folds * np.repeat(sizes, sizes))
    orders = [np.argsort(-values, kind="stable") for values in scores]
    signs = [(np.where(same, share, -share)[order]).astype(np.float32) for order in orders]
    # A threshold does not separate equal scores.
    inside = [np.append(values[order][1:] == values[order][:-1], False) for values, order in zip(scores, orders)]
    best = [int(np.argmax(np.where(tie, -np.inf, np.cumsum(sign)))) for sign, tie in zip(signs, inside)]
    chosen: List[List[np.ndarray]] = []
    fixed: List[List[np.ndarray]] = []
    for weights in pair_weights(identities, resamples):
        for kind in (same, ~same):
            weights[:, kind] /= np.maximum(weights[:, kind].mean(axis=1, keepdims=True), 1e-9)
        rejected = weights @ np.where(same, 0, share).astype(np.float32)  # the accuracy where nothing is accepted
        chosen.append([])
        fixed.append([])
        for order, sign, tie, place in zip(orders, signs, inside, best):
            gains = weights[:, order] * sign
            total, held = np.cumsum(gains, axis=1), np.zeros(len(gains), np.float32)
            for number in range(folds):
                of_fold = np.cumsum(gains * (fold[order] == number), axis=1)
                picked = np.argmax(np.where(tie, -np.inf, total - of_fold), axis=1)
                held += of_fold[np.arange(len(gains)), picked]
            chosen[-1].append(held + rejected)
            fixed[-1].append(total[:, place] + rejected)
    return np.concatenate(chosen, axis=1), np.concatenate(fixed, axis=1)
