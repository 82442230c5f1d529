"""Which photo stands at each position of a run, as a function of (seed, position) alone.

`RandomSampler` has every photo once an epoch. `PKSampler` has P identities × K photos, for losses
on tuples: triplet, contrastive. Positions count all workers' samples.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Callable, List

import numpy as np

from arcface_mx.data.recordio.index import RecordIndex


class RandomSampler:
    """Each epoch every photo once, in an order of its own."""

    def __init__(self, images: int, seed: int) -> None:
        self.seed, self._images = seed, images

    def places(self, position: int, size: int) -> np.ndarray:
        """Which photos (positions in the index) stand at `position` and after it; int64, (size,)."""
        return _spanning(self._order, self._images, position, size)

    def mirrored(self, position: int, size: int) -> np.ndarray:
        """Whether the photos there are mirrored, half of them; bool, (size,)."""
        return _spanning(self._coins, self._images, position, size)

    @lru_cache(maxsize=2)
    def _order(self, epoch: int) -> np.ndarray:
        return np.random.default_rng([self.seed, 4, epoch]).permutation(self._images)

    @lru_cache(maxsize=2)
    def _coins(self, epoch: int) -> np.ndarray:
        return np.random.default_rng([self.seed, 5, epoch]).random(self._images) < 0.5


class PKSampler:
    """P×K: K photos of a person side by side.

    Identities come in rounds: in each, every identity once, in a shuffled order, with K of its photos
    (all of them where it has fewer, so that a person with one photo serves as a negative only). A
    person's photos take turns, so that over its rounds each is seen equally often.
    """

    def __init__(self, index: RecordIndex, images_per_identity: int, seed: int) -> None:
        self.seed, self.images_per_identity = seed, images_per_identity
        self._order, self._bounds = index.groups()
        counts = np.diff(self._bounds)
        self._taken = np.minimum(images_per_identity, counts)
        self._round_size = int(self._taken.sum())
        self._alone = int((counts == 1).sum())

    def places(self, position: int, size: int) -> np.ndarray:
        """As RandomSampler's."""
        return _spanning(self._round, self._round_size, position, size)

    def mirrored(self, position: int, size: int) -> np.ndarray:
        """As RandomSampler's."""
        return np.asarray([np.random.default_rng([self.seed, 3, position + row]).random() < 0.5 for row in range(size)])

    def describe(self) -> str:
        """One line for the start of the run."""
        text = f"batches hold up to {self.images_per_identity} photos of each person"
        if self._alone:
            text += f"; {self._alone} people with a single photo serve as negatives only"
        return text

    @lru_cache(maxsize=2)
    def _round(self, number: int) -> np.ndarray:
        people = np.random.default_rng([self.seed, 1, number]).permutation(len(self._taken))
        return np.concatenate([self._photos(int(person), number) for person in people])

    def _photos(self, person: int, number: int) -> np.ndarray:
        own = self._order[self._bounds[person] : self._bounds[person + 1]]
        taken = int(self._taken[person])
        # In len(own) rounds the window passes over each photo `taken` times; then they are reshuffled.
        shuffled = np.random.default_rng([self.seed, 2, person, number // len(own)]).permutation(own)
        start = number * taken
        return np.take(shuffled, np.arange(start, start + taken), mode="wrap")


def _spanning(rounds: Callable[[int], np.ndarray], length: int, position: int, size: int) -> np.ndarray:
    """`size` entries from `position` on in rounds(0), rounds(1), … laid end to end, each `length` long."""
    found: List[np.ndarray] = []
    have = 0
    while have < size:
        number, offset = divmod(position + have, length)
        found.append(rounds(number)[offset : offset + size - have])
        have += len(found[-1])
    return np.concatenate(found)
