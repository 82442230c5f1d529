"""Training batches from a RecordIO face set, decoded by opencv-python in threads."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Deque, Iterator, List, Tuple

import numpy as np

from arcface_mx.data.recordio.index import RecordIndex
from arcface_mx.reader.augment import Augmentation
from arcface_mx.reader.samplers import Sampler
from arcface_mx.util.errors import UserError

if TYPE_CHECKING:
    from mxnet.ndarray import NDArray

AHEAD = 2  # batches that are decoded before they are asked for
CHUNK = 16  # images that one task of the thread pool decodes


@dataclass(frozen=True)
class Batch:
    """B training samples.

    Attributes
    ----------
    pixels : NDArray of float32, shape (B, 3, side, side)
        RGB, 0 to 255.
    labels : ndarray of int64, shape (B,)
    records : ndarray of int64, shape (B,)
        Numbers of the records that the images came from.
    """

    pixels: NDArray
    labels: np.ndarray
    records: np.ndarray


class RecordReader:
    """Reads batches in the order of a sampler.

    Every batch is a function of (seed, position): it does not depend on threads, workers or what was
    read before.

    Parameters
    ----------
    index : RecordIndex
        The face set.
    sampler : Sampler
    augmentation : Augmentation
    batch_size : int
        Images in a batch of this worker.
    seed : int
        Seed of the augmentation.
    threads : int
        Number of decoding threads.
    part : (int, int)
        Rank of this worker and number of workers, who take batches in turn.
    """

    def __init__(
        self,
        index: RecordIndex,
        sampler: Sampler,
        augmentation: Augmentation,
        batch_size: int,
        seed: int,
        threads: int,
        part: Tuple[int, int] = (0, 1),
    ) -> None:
        self.index, self.sampler, self.augmentation, self.batch_size = index, sampler, augmentation, batch_size
        self._seed, self._threads, self._part = seed, threads, part

    def batches(self, position: int = 0) -> Iterator[Batch]:
        """Yield batches for ever, from any position of the run.

        Parameters
        ----------
        position : int
            Number of images that all workers together have read before.

        Yields
        ------
        Batch

        Raises
        ------
        UserError
            If a record is no longer an image of the size that the face set states.
        """
        rank, workers = self._part
        position += self.batch_size * rank
        pool = ThreadPoolExecutor(self._threads)
        ahead: Deque[_Decoding] = deque()
        try:
            while True:
                while len(ahead) <= AHEAD:
                    ahead.append(self._start(pool, position))
                    position += self.batch_size * workers
                yield ahead.popleft().batch(self.index)
        finally:
            pool.shutdown(wait=True)

    def _start(self, pool: ThreadPoolExecutor, position: int) -> _Decoding:
        size, side = self.batch_size, self.augmentation.image_size
        places = self.sampler.indices(position, size)
        mirrored = self.augmentation.mirrored(self._seed, position, size)
        pixels = np.empty((size, 3, side, side), np.uint8)
        stated = self.index.height, self.index.width

        def decode(rows: range) -> None:
            records = self.index.images(places[rows.start : rows.stop])
            for row, (number, _, image) in zip(rows, records):
                seed = [self._seed, 3, position + row]
                try:
                    self.augmentation.apply(image, stated, bool(mirrored[row]), seed, pixels[row])
                except ValueError as error:
                    raise UserError(
                        f"{self.index.path}: record {number} {error}. Find all such records with: arcface-mx data check"
                    ) from None

        chunks = [range(start, min(start + CHUNK, size)) for start in range(0, size, CHUNK)]
        return _Decoding(places, pixels, [pool.submit(decode, rows) for rows in chunks])


@dataclass(frozen=True)
class _Decoding:
    """A batch that threads are decoding."""

    places: np.ndarray
    pixels: np.ndarray
    tasks: List[Future[None]]

    def batch(self, index: RecordIndex) -> Batch:
        """Wait for the threads and return the batch."""
        import mxnet as mx

        for task in self.tasks:
            task.result()
        # MXNet keeps this float32 copy without copying it again, so each batch has its own.
        values = mx.nd.from_numpy(self.pixels.astype(np.float32), zero_copy=True)
        return Batch(values, index.labels[self.places], index.numbers[self.places])
