"""Samplers: which image stands at each position of a run, as a function of (seed, position) alone.

Any position can be reached at once, so a resumed run continues exactly where it stopped.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import lru_cache
from typing import Callable, List

import numpy as np

from arcface_mx.data.recordio.index import RecordIndex


class Sampler(ABC):
    """An endless order of images. Subclasses define `indices`."""

    @abstractmethod
    def indices(self, position: int, count: int) -> np.ndarray:
        """Return which images stand at `position` and after it.

        Parameters
        ----------
        position : int
            Number of images before, counted from the start of the run over all workers.
        count : int

        Returns
        -------
        ndarray of int64, shape (count,)
            Places in the arrays of the RecordIndex.
        """


class RandomSampler(Sampler):
    """Every image once an epoch, in a new random order each epoch.

    Parameters
    ----------
    images : int
        Number of images.
    seed : int
    """

    def __init__(self, images: int, seed: int) -> None:
        self._images, self._seed = images, seed
        self._epoch = lru_cache(maxsize=2)(self._shuffled)

    def indices(self, position: int, count: int) -> np.ndarray:
        return slice_of_rounds(self._epoch, self._images, position, count)

    def _shuffled(self, epoch: int) -> np.ndarray:
        return np.random.default_rng([self._seed, 4, epoch]).permutation(self._images)


class PKSampler(Sampler):
    """P identities with K images each, side by side, for losses on tuples.

    Identities come in rounds. In each round every identity comes once, in a random order, with K of
    its images, or with all of them if it has fewer; an identity with one image serves as a negative
    only. The images of an identity take turns, so that each is seen equally often.

    Parameters
    ----------
    index : RecordIndex
    images_per_identity : int
        K.
    seed : int
    """

    def __init__(self, index: RecordIndex, images_per_identity: int, seed: int) -> None:
        self._seed, self.images_per_identity = seed, images_per_identity
        self._by_identity, self._bounds = index.groups()
        counts = np.diff(self._bounds)
        self._taken = np.minimum(images_per_identity, counts)
        self._round_size = int(self._taken.sum())
        self._single = int((counts == 1).sum())
        self._round = lru_cache(maxsize=2)(self._make_round)

    def indices(self, position: int, count: int) -> np.ndarray:
        return slice_of_rounds(self._round, self._round_size, position, count)

    def describe(self) -> str:
        """Return one line for the start of a run.

        Returns
        -------
        str
        """
        text = f"batches hold up to {self.images_per_identity} images of each identity"
        if self._single:
            text += f"; {self._single} identities with a single image serve as negatives only"
        return text

    def _make_round(self, number: int) -> np.ndarray:
        identities = np.random.default_rng([self._seed, 1, number]).permutation(len(self._taken))
        return np.concatenate([self._images_of(int(identity), number) for identity in identities])

    def _images_of(self, identity: int, number: int) -> np.ndarray:
        images = self._by_identity[self._bounds[identity] : self._bounds[identity + 1]]
        taken = int(self._taken[identity])
        # In len(images) rounds the window passes over each image `taken` times; then they are shuffled again.
        shuffled = np.random.default_rng([self._seed, 2, identity, number // len(images)]).permutation(images)
        start = number * taken
        return np.take(shuffled, np.arange(start, start + taken), mode="wrap")


def slice_of_rounds(round_at: Callable[[int], np.ndarray], length: int, position: int, count: int) -> np.ndarray:
    """Return `count` entries from `position` on of round_at(0), round_at(1), … laid end to end."""
    parts: List[np.ndarray] = []
    done = 0
    while done < count:
        number, offset = divmod(position + done, length)
        parts.append(round_at(number)[offset : offset + count - done])
        done += len(parts[-1])
    return np.concatenate(parts)
