"""A stream of training batches in any order of the photos, read and decoded by threads of this process.

MXNet's native iterator cannot read in a given order, and the OpenCV of its wheel decodes JPEG in
twice the time of the opencv-python beside it.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Deque, List, Tuple, Union

import numpy as np

from arcface_mx.config import DataConfig
from arcface_mx.data.recordio.index import RecordIndex
from arcface_mx.reader.augment import decode_photo
from arcface_mx.reader.image_view import ImageView
from arcface_mx.reader.native_reader import Batch
from arcface_mx.reader.samplers import PKSampler, RandomSampler
from arcface_mx.util.errors import UserError

AHEAD = 2  # batches that are decoded before they are asked for
CHUNK = 16  # photos a task of the pool


class RecordReader:
    """As FaceStream: an endless iterator of Batches from sample `position` on, in the order given.

    worker: (rank, number of workers). `position` counts the samples of all workers; they take batches in turn.
    """

    def __init__(
        self,
        view: ImageView,
        index: RecordIndex,
        order: Union[RandomSampler, PKSampler],
        config: DataConfig,
        position: int,
        threads: int,
        worker: Tuple[int, int] = (0, 1),
    ) -> None:
        self.view, self.config, self.order = view, config, order
        self._index = index
        self._stride = config.batch_size * worker[1]
        self._position = position + config.batch_size * worker[0]  # of the next batch to decode
        self._pool = ThreadPoolExecutor(threads)
        self._ahead: Deque[Tuple[np.ndarray, np.ndarray, List[Future[None]]]] = deque()
        for _ in range(AHEAD):
            self._start()

    def __iter__(self) -> RecordReader:
        return self

    def __next__(self) -> Batch:
        import mxnet as mx

        places, pixels, parts = self._ahead.popleft()
        self._start()
        for part in parts:
            part.result()
        # A float32 copy of its own for each batch: MXNet holds on to this memory, without copying it again.
        values = mx.nd.from_numpy(pixels.astype(np.float32), zero_copy=True)
        return Batch(values, self._index.labels[places], self._index.numbers[places])

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown(wait=True)

    def _start(self) -> None:
        size, side, position = self.config.batch_size, self.config.image_size, self._position
        places = self.order.places(position, size)
        mirrored = self.order.mirrored(position, size) if self.config.mirror else np.zeros(size, bool)
        pixels = np.empty((size, 3, side, side), np.uint8)

        def decode(rows: range) -> None:
            for row, (number, _, image) in zip(rows, self._index.images(places[rows.start : rows.stop])):
                try:
                    decode_photo(
                        image, self.config, bool(mirrored[row]), [self.order.seed, 3, position + row], pixels[row]
                    )
                except ValueError:
                    raise UserError(
                        f"{self._index.path}: record {number} is no longer the image it was; has the file changed?"
                    ) from None

        chunks = [range(start, min(start + CHUNK, size)) for start in range(0, size, CHUNK)]
        self._ahead.append((places, pixels, [self._pool.submit(decode, rows) for rows in chunks]))
        self._position += self._stride
