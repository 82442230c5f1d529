"""The RecordIO layout of InsightFace's face sets: `train.rec`, `train.idx`, `property`.

Record 0 is a header whose two labels are (1 + number of images, 1 + number of images + number
of identities); records 1… hold one encoded image each, grouped by identity, labels 0…n−1; then
comes one record an identity with no image, whose two labels are its range of image records
[first, last). `property` holds "classes,height,width". Labels are float32: whole numbers are
exact up to 2**24. The byte layout is on data/README.md.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import struct
import tempfile
from types import TracebackType
from typing import Any, List, Optional, Tuple, Type

import numpy as np

from arcface_mx.util.errors import UserError
from arcface_mx.util.files import atomic_write, sync_folder

MAGIC = 0xCED7230A
HEADER = struct.Struct("<IfQQ")  # flag (number of extra labels), label, id, id2
IMAGE_SIDE = 112


class RecordWriter:
    """Write a face set; nothing appears in `folder` until all of it is on the disk.

    Use as a context manager and call `add` once an image, identities in ascending order:

    >>> with RecordWriter("faces") as writer:      # doctest: +SKIP
    ...     writer.add(0, jpeg_bytes)

    Raises UserError when `folder` already holds a set, and when labels are out of order.
    """

    def __init__(self, folder: str, height: int = IMAGE_SIDE, width: int = IMAGE_SIDE) -> None:
        for name in ("train.rec", "train.idx", "property"):
            if os.path.exists(os.path.join(folder, name)):
                raise UserError(f"{folder}: already holds {name}; give another folder or delete it")
        self.folder, self.height, self.width = folder, height, width
        self._starts: List[int] = []  # record number of each identity's first image
        self._count = 0  # images so far

    def __enter__(self) -> RecordWriter:
        from mxnet import recordio

        parent = os.path.dirname(os.path.abspath(self.folder))
        os.makedirs(parent, exist_ok=True)
        self._temporary = tempfile.mkdtemp(prefix=f".{os.path.basename(os.path.abspath(self.folder))}.", dir=parent)
        self._stream = recordio.MXIndexedRecordIO(self._path("train.idx"), self._path("train.rec"), "w")
        self._write(0, [0.0, 0.0], b"")  # patched when the counts are known
        return self

    def add(self, label: int, image: bytes) -> None:
        """Append one encoded image of identity `label`."""
        if label == len(self._starts):
            self._starts.append(self._count + 1)
        elif label != len(self._starts) - 1:
            raise UserError(
                f"image {self._count + 1}: label {label} follows label {len(self._starts) - 1}; identities "
                "must come grouped and numbered 0, 1, 2…"
            )
        if not image:
            raise UserError(f"image {self._count + 1} of identity {label} is empty")
        self._count += 1
        header = HEADER.pack(0, float(label), self._count, 0)
        append(self._stream, self._count, header + image, self.folder)

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        try:
            if kind is None and not self._count:
                raise UserError(f"{self.folder}: no image was added; nothing is written")
            if kind is None:
                self._finish()
                close_whole(self._stream, self._path("train.rec"), self.folder)
                self._publish()
        finally:
            with contextlib.suppress(Exception):
                self._stream.close()
            shutil.rmtree(self._temporary, ignore_errors=True)

    def _path(self, name: str) -> str:
        return os.path.join(self._temporary, name)

    def _write(self, number: int, labels: List[float], body: bytes) -> None:
        packed = HEADER.pack(len(labels), 0.0, number, 0) + np.asarray(labels, "<f4").tobytes()
        append(self._stream, number, packed + body, self.folder)

    def _finish(self) -> None:
        ends = self._starts[1:] + [self._count + 1]
        for identity, (first, last) in enumerate(zip(self._starts, ends)):
            self._write(self._count + 1 + identity, [float(first), float(last)], b"")

    def _publish(self) -> None:
        ranges = np.asarray([self._count + 1, self._count + 1 + len(self._starts)], "<f4")
        with open(self._path("train.rec"), "r+b") as stream:
            stream.seek(8 + HEADER.size)  # magic, length, then the record's own header
            stream.write(ranges.tobytes())
            stream.flush()
            os.fsync(stream.fileno())
        os.makedirs(self.folder, exist_ok=True)
        for name in ("train.rec", "train.idx"):
            os.replace(self._path(name), os.path.join(self.folder, name))
        sync_folder(self.folder)
        # `property` comes last: a folder that has it is whole.
        with atomic_write(os.path.join(self.folder, "property"), "w") as stream:
            stream.write(f"{len(self._starts)},{self.height},{self.width}\n")


def append(stream: Any, number: int, payload: bytes, shown: str) -> None:
    """`write_idx` of an MXIndexedRecordIO; UserError, naming `shown`, where the disk takes no more."""
    from mxnet.base import MXNetError

    try:
        stream.write_idx(number, payload)
    except (OSError, MXNetError) as error:
        reason = getattr(error, "strerror", None) or "is the disk full?"
        raise UserError(f"{shown}: cannot be written: {reason}") from None


def close_whole(stream: Any, path: str, shown: str) -> None:
    """Close an MXIndexedRecordIO writer of `path`; UserError where the disk did not take all of it (MXNet says nothing)."""
    expected = stream.tell()
    try:
        stream.close()
    except OSError as error:
        raise UserError(f"{shown}: cannot be written: {error.strerror}") from None
    if os.path.getsize(path) != expected:
        raise UserError(
            f"{shown}: cannot be written: {os.path.getsize(path)} of {expected} bytes arrived; is the disk full?"
        )


def unpack(record: bytes) -> Tuple[np.ndarray, bytes]:
    """Split one record's payload into its labels (float32, at least one) and its body.

    Raises ValueError where the payload is shorter than it says.
    """
    if len(record) < HEADER.size:
        raise ValueError(f"{len(record)} bytes are too few for a record header ({HEADER.size})")
    flag, label, _, _ = HEADER.unpack_from(record)
    if flag == 0:
        return np.asarray([label], np.float32), record[HEADER.size :]
    end = HEADER.size + 4 * flag
    if len(record) < end:
        raise ValueError(f"{len(record)} bytes are too few for {flag} labels")
    return np.frombuffer(record, "<f4", flag, HEADER.size), record[end:]
