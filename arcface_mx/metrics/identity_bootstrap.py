"""Bootstrap over identities: how metrics vary when the identities of a set are drawn again."""

from __future__ import annotations

from typing import Iterator, NamedTuple, Sequence, Tuple

import numpy as np

from arcface_mx.metrics.intervals import RESAMPLES

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
        drawn = random.randint(len(names), size=(min(BLOCK, resamples - start), len(names)))
        draws = np.stack([np.bincount(row, minlength=len(names)) for row in drawn]).astype(np.float32)
        yield draws[:, left] * np.where(mixed, draws[:, right], 1)


def best_accuracy_draws(
    scores: Sequence[np.ndarray], same: np.ndarray, identities: PairIdentities, resamples: int = RESAMPLES
) -> Tuple[np.ndarray, np.ndarray]:
    """Best accuracies of M models on drawn identities, with chosen and with fixed thresholds.

    Parameters
    ----------
    scores : sequence of M ndarrays of shape (P,)
        All models have the same draws, so that their differences can be taken.
    same : ndarray of bool, shape (P,)
    identities : PairIdentities
    resamples : int

    Returns
    -------
    chosen : ndarray of shape (M, resamples)
        At the threshold that is best for the draw.
    fixed : ndarray of shape (M, resamples)
        At the threshold that is best for the set itself.
    """
    orders = [np.argsort(-values, kind="stable") for values in scores]
    signs = [np.where(same[order], 1, -1).astype(np.float32) / len(same) for order in orders]
    # A threshold does not separate equal scores.
    inside = [np.append(values[order][1:] == values[order][:-1], False) for values, order in zip(scores, orders)]
    best = [int(np.argmax(np.where(tie, -np.inf, np.cumsum(sign)))) for sign, tie in zip(signs, inside)]
    chosen, fixed = [], []
    for weights in pair_weights(identities, resamples):
        for kind in (same, ~same):
            weights[:, kind] /= np.maximum(weights[:, kind].mean(axis=1, keepdims=True), 1e-9)
        gains = [np.cumsum(weights[:, order] * sign, axis=1) for order, sign in zip(orders, signs)]
        fixed.append([gain[:, place] for gain, place in zip(gains, best)])
        chosen.append([np.where(tie, -np.inf, gain).max(axis=1) for gain, tie in zip(gains, inside)])
    rest = np.mean(~same)  # the accuracy where nothing is accepted
    return np.concatenate(chosen, axis=1) + rest, np.concatenate(fixed, axis=1) + rest
