"""Reading a face set: the native stream against a Python loop over the same file."""

from __future__ import annotations

from typing import List

from arcface_mx.bench.timing import Timing, compare
from arcface_mx.config import DataConfig
from arcface_mx.input.image_view import open_view
from arcface_mx.input.stream import FaceStream
from arcface_mx.platform import available_cores


def measure(folder: str, images: int, batch_size: int, repetitions: int) -> List[Timing]:
    """Images a second, decoded to 112×112 batches of float32: Python loop (the baseline) and native stream."""
    view = open_view(folder)
    config = DataConfig(data=folder, image_size=min(view.height, view.width), batch_size=batch_size)
    batches = max(1, images // batch_size)

    def python_loop() -> int:
        import mxnet as mx
        import numpy as np

        order = np.random.default_rng(0).permutation(view.images)
        records = mx.recordio.MXIndexedRecordIO(view.index_file, view.record_file, "r")
        keys = [records.keys[place] for place in order]
        for start in range(batches):
            rows = []
            for place in range(start * batch_size, (start + 1) * batch_size):
                _, image = mx.recordio.unpack(records.read_idx(keys[place % len(keys)]))
                pixels = mx.image.imdecode(image)
                rows.append(mx.nd.flip(pixels, axis=1) if place % 2 else pixels)
            mx.nd.stack(*rows).transpose((0, 3, 1, 2)).astype("float32").wait_to_read()
        records.close()
        return batches * batch_size

    def native() -> int:
        stream = FaceStream(view, config, seed=0, threads=available_cores())
        for _ in range(batches):
            next(stream).pixels.wait_to_read()
        return batches * batch_size

    return compare({"MXIndexedRecordIO + mx.image.imdecode": python_loop, "arcface-mx stream": native}, repetitions)
