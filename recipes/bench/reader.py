"""How fast training images are read; baseline: a Python loop with MXNet's functions."""

from __future__ import annotations

import os
from typing import Callable, List, Optional

import numpy as np
from cases import Case

from arcface_mx.bench.steps import read_batches
from arcface_mx.data.recordio.index import RecordIndex
from arcface_mx.util.errors import UserError

BATCH_SIZE = 128
LOOP_SHARE = 10  # the Python loop reads a tenth of the images


def cases(data: str, images: int = 0, batch_size: Optional[int] = None) -> List[Case]:
    """Images per second: shuffled, decoded, half of them mirrored, as float32 batches (B, 3, height, width).

    images: per repetition; 0 for an epoch. With few images, starting the reader is a part of the time.
    """
    if not data:
        raise UserError("`data` is missing: name a folder with train.rec")
    size = batch_size or BATCH_SIZE
    batches = max(1, (images or len(RecordIndex.open(data))) // size)
    arguments = {"folder": os.path.abspath(data), "batch_size": size}
    loop = dict(arguments, batches=max(1, batches // LOOP_SHARE), loop=True)
    return [
        Case("MXIndexedRecordIO and mx.image.imdecode", setup, loop),
        Case("arcface-mx", setup, dict(arguments, batches=batches, loop=False)),
    ]


def setup(folder: str, batch_size: int, batches: int, loop: bool) -> Callable[[], int]:
    """One way of reading `batches` batches."""
    if loop:
        return lambda: _python_loop(folder, batch_size, batches)

    return lambda: read_batches(folder, batch_size, batches)


def _python_loop(folder: str, batch_size: int, batches: int) -> int:
    import mxnet as mx

    paths = [os.path.join(folder, name) for name in ("train.idx", "train.rec")]
    records, index = mx.recordio.MXIndexedRecordIO(*paths, "r"), RecordIndex.open(folder)
    keys = index.numbers[np.random.default_rng(0).permutation(len(index))]
    for batch in range(batches):
        images = []
        for position in range(batch * batch_size, (batch + 1) * batch_size):
            _, encoded = mx.recordio.unpack(records.read_idx(keys[position % len(keys)]))
            pixels = mx.image.imdecode(encoded)
            images.append(mx.nd.flip(pixels, axis=1) if position % 2 else pixels)
        mx.nd.stack(*images).transpose((0, 3, 1, 2)).astype("float32").wait_to_read()
    records.close()
    return batches * batch_size
