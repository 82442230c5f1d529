"""Batches of P identities × K photos, for losses on tuples: triplet, contrastive.

Identities come in rounds: in each, every identity once, in a shuffled order, with K of its photos
(all of them where it has fewer, so that a person with one photo serves as a negative only). A
person's photos take turns, so that over its rounds each is seen equally often. Which photo stands
at a position is a function of (seed, position) alone. MXNet's native iterator cannot read in a
given order, so photos are decoded here, by threads.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from typing import Tuple


import numpy as np

from arcface_mx.config import DataConfig
from arcface_mx.data.record_index import RecordIndex
from arcface_mx.input.augment import load_photo
from arcface_mx.input.image_view import ImageView
from arcface_mx.input.stream import Batch


class TupleStream:
    """As FaceStream, in P×K order: an endless iterator of Batches from sample `position` on.

    worker: (rank, number of workers). `position` counts the samples of all workers; they take batches in turn.
    """

    def __init__(
        self, view: ImageView, index: RecordIndex, config: DataConfig, seed: int, position: int, threads: int, worker: Tuple[int, int] = (0, 1)
    ) -> None:
        self._stride = config.batch_size * worker[1]
        position += config.batch_size * worker[0]
        self.view, self.config, self.seed, self.position = view, config, seed, position
        self._index = index
        self._order, self._bounds = index.groups()
        counts = np.diff(self._bounds)
        self._taken = np.minimum(config.photos_a_person, counts)
        self.round_size = int(self._taken.sum())
        self.alone = int((counts == 1).sum())
        self._pool = ThreadPoolExecutor(threads)
        self._next: Future[Batch] = self._pool.submit(self._batch, position)

    def __iter__(self) -> "TupleStream":
        return self

    def __next__(self) -> Batch:
        batch = self._next.result()
        self.position += self._stride
        self._next = self._pool.submit(self._batch, self.position)
        return batch

    def close(self) -> None:
        self._pool.shutdown(wait=True)

    def places(self, position: int) -> np.ndarray:
        """Which photos (positions in the index) stand at `position` and the batch after it."""
        size, found, have = self.config.batch_size, [], 0
        while have < size:
            number, offset = divmod(position + have, self.round_size)
            part = self._round(number)[offset : offset + size - have]
            found.append(part)
            have += len(part)
        return np.concatenate(found)

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

    def _batch(self, position: int) -> Batch:
        import mxnet as mx

        places = self.places(position)
        records = list(self._index.images(places))
        pixels = [load_photo(image, self.config, [self.seed, 3, position + row]) for row, (_, _, image) in enumerate(records)]
        stacked = np.stack(pixels).transpose(0, 3, 1, 2).astype(np.float32)
        numbers = np.asarray([number for number, _, _ in records], np.int64)
        labels = np.asarray([label for _, label, _ in records], np.int64)
        return Batch(mx.nd.array(stacked), labels, numbers)


def describe(stream: TupleStream) -> str:
    """One line for the start of the run."""
    text = "batches hold up to %d photos of each person" % stream.config.photos_a_person
    if stream.alone:
        text += "; %d people with a single photo serve as negatives only" % stream.alone
    return text


