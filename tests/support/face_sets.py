"""Small face sets for tests, also in layouts that RecordWriter does not write."""

from __future__ import annotations

import os
import struct
from typing import List, Sequence, Tuple

import cv2
import numpy as np

from arcface_mx.data.recordio.writer import RecordWriter

HEADER_SIZE = 24


def jpeg(seed: int, side: int = 112) -> bytes:
    """A smooth image that depends on the seed."""
    noise = np.random.RandomState(seed).randint(0, 256, (4, 4, 3)).astype(np.uint8)
    done, data = cv2.imencode(".jpg", cv2.resize(noise, (side, side), interpolation=cv2.INTER_LINEAR))
    assert done
    return data.tobytes()


def write_set(folder: str, counts: Sequence[int] = (3, 2, 4), side: int = 112) -> List[Tuple[int, bytes]]:
    """Write a set with counts[i] images of identity i. Returns (label, image) for each image."""
    written = []
    with RecordWriter(folder, side, side) as writer:
        for label, count in enumerate(counts):
            for _ in range(count):
                written.append((label, jpeg(len(written), side)))
                writer.add(*written[-1])
    return written


def write_plain(path: str, labels: Sequence[Sequence[float]], images: Sequence[bytes], first: int = 0) -> None:
    """Write records as im2rec does: images only. A label of several numbers becomes an array."""
    from mxnet import recordio

    stream = recordio.MXIndexedRecordIO(path[:-4] + ".idx", path, "w")
    for number, (label, image) in enumerate(zip(labels, images), first):
        value = label[0] if len(label) == 1 else list(label)
        header = recordio.IRHeader(0, value, number, 0)
        stream.write_idx(number, recordio.pack(header, image))
    stream.close()


def patch(path: str, offset: int, data: bytes) -> None:
    with open(path, "r+b") as stream:
        stream.seek(offset)
        stream.write(data)


def float_bytes(*values: float) -> bytes:
    return struct.pack(f"<{len(values)}f", *values)


def read_bytes(path: str) -> bytes:
    with open(path, "rb") as stream:
        return stream.read()


def write_bytes(path: str, data: bytes) -> None:
    with open(path, "wb") as stream:
        stream.write(data)


def copy_set(source: str, target: str) -> str:
    os.makedirs(target)
    for name in os.listdir(source):
        write_bytes(os.path.join(target, name), read_bytes(os.path.join(source, name)))
    return target
