"""Reading a face set: both readers against a Python loop and NVIDIA DALI's CPU pipeline on the same file."""

from __future__ import annotations

from typing import Callable, List, Union

from arcface_mx.bench import dali_peer
from arcface_mx.bench.race import Contestant, race
from arcface_mx.bench.timing import Timing
from arcface_mx.config import DataConfig
from arcface_mx.data.recordio.index import RecordIndex
from arcface_mx.reader.image_view import open_view
from arcface_mx.reader.native_reader import FaceStream
from arcface_mx.reader.record_reader import RecordReader
from arcface_mx.reader.samplers import RandomSampler
from arcface_mx.util.environment import available_cores

ENGINE = "mxnet"
LOOP_SHARE = 10  # the Python loop reads a tenth of the images


def measure(folder: str, images: int, batch_size: int, repetitions: int, dali_python: str = "") -> List[Timing]:
    """Images a second: shuffled, decoded, half of them mirrored, batches (B, 3, side, side) of float32.

    Baseline: MXNet's records read by a Python loop. images: a repetition's; 0 for an epoch, which
    measures best: readers that work ahead have thousands of images ready when the clock starts.
    dali_python: an interpreter that has DALI.
    """
    view = open_view(folder)
    batches = max(1, (images or view.images - 4 * batch_size) // batch_size)  # the next epoch stays closed
    shape = {"images": batches * batch_size, "batch_size": batch_size}
    loop = dict(shape, images=max(1, batches // LOOP_SHARE) * batch_size, kind="python_loop", folder=folder)
    entries = [
        Contestant("MXIndexedRecordIO + mx.image.imdecode", __name__, loop),
        Contestant("arcface-mx", __name__, dict(shape, kind="mxnet", folder=folder)),
        Contestant("arcface-mx --reader opencv", __name__, dict(shape, kind="opencv", folder=folder)),
    ]
    if dali_python:
        files = {"records": view.record_file, "index": view.index_file, "threads": available_cores()}
        entries.append(Contestant("DALI, CPU", dali_peer.__file__, dict(shape, **files), python=dali_python))
    return race(entries, repetitions)


def setup(kind: str, folder: str, images: int, batch_size: int) -> Callable[[], int]:
    """One way of reading `images` images."""
    view = open_view(folder)
    if kind == "python_loop":
        return lambda: _python_loop(view, images, batch_size)
    config = DataConfig(data=folder, image_size=min(view.height, view.width), batch_size=batch_size, reader=kind)
    threads = available_cores()
    index = RecordIndex.open(folder) if kind == "opencv" else None

    def read() -> int:
        stream: Union[FaceStream, RecordReader]
        if index is None:
            stream = FaceStream(view, config, 0, threads=threads)
        else:
            stream = RecordReader(view, index, RandomSampler(len(index), seed=0), config, 0, threads)
        for _ in range(images // batch_size):
            next(stream).pixels.wait_to_read()
        return images

    return read


def _python_loop(view, images: int, batch_size: int) -> int:  # type: ignore[no-untyped-def]
    import mxnet as mx
    import numpy as np

    order = np.random.default_rng(0).permutation(view.images)
    records = mx.recordio.MXIndexedRecordIO(view.index_file, view.record_file, "r")
    keys = [records.keys[place] for place in order]
    for start in range(0, images, batch_size):
        rows = []
        for place in range(start, start + batch_size):
            _, image = mx.recordio.unpack(records.read_idx(keys[place % len(keys)]))
            pixels = mx.image.imdecode(image)
            rows.append(mx.nd.flip(pixels, axis=1) if place % 2 else pixels)
        mx.nd.stack(*rows).transpose((0, 3, 1, 2)).astype("float32").wait_to_read()
    records.close()
    return images
