"""Bootstrap over identities: how metrics vary when the identities of a set are drawn again."""

from __future__ import annotations

from typing import Iterator, NamedTuple

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
        draws = random.multinomial(
            len(names), np.full(len(names), 1 / len(names)), min(BLOCK, resamples - start)
        ).astype(np.float32)
        yield draws[:, left] * np.where(mixed, draws[:, right], 1)
