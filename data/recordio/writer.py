"""Write face sets in InsightFace's layout: `train.rec`, `train.idx` and `property`.

Record 0 is a header without image. Its labels are (1 + number of images, 1 + number of images +
number of identities). Records 1… hold one image each, grouped by identity, with labels 0…n−1.
One record without image follows for each identity; its labels are the range of the identity's
records, [first, last). `property` holds "classes,height,width". Labels are float32, in which
whole numbers are exact up to 2**24.
"""

from __future__ import annotations

import contextlib
import os
from types import TracebackType
from typing import Iterator, List, Optional, Sequence, Type

from arcface_mx.data.recordio.record import pack, write_record
from arcface_mx.util.errors import UserError
from arcface_mx.util.files import atomic_write

IMAGE_SIDE = 112


class RecordWriter:
    """Write a face set. Its files appear in `folder` when all of them are complete.

    Parameters
    ----------
    folder : str
        Where the files go. It is created if it does not exist.
    height, width : int
        Size of the images in pixels, for `property`. The images themselves are not checked.

    Raises
    ------
    UserError
        If `folder` already holds a set, if labels are out of order, if no image was added, or if
        the disk is full.

    Examples
    --------
    Use it as a context manager and add the images, identities in ascending order:

    >>> with RecordWriter("faces") as writer:      # doctest: +SKIP
    ...     writer.add(0, jpeg_bytes)
    """

    def __init__(self, folder: str, height: int = IMAGE_SIDE, width: int = IMAGE_SIDE) -> None:
        for name in ("train.rec", "train.idx", "property"):
            if os.path.exists(os.path.join(folder, name)):
                raise UserError(f"{folder}: already holds {name}; give another folder or delete it")
        self.folder, self.height, self.width = folder, height, width
        self._starts: List[int] = []  # record number of each identity's first image
        self._count = 0  # images so far

    def __enter__(self) -> RecordWriter:
        self._is_new = not os.path.isdir(self.folder)
        self._files = contextlib.ExitStack()
        with self._disk_errors():
            # They appear in reverse order, so a folder that has `property` is complete.
            self._property = self._files.enter_context(atomic_write(os.path.join(self.folder, "property"), "w"))
            self._index = self._files.enter_context(atomic_write(os.path.join(self.folder, "train.idx"), "w"))
            self._records = self._files.enter_context(atomic_write(os.path.join(self.folder, "train.rec")))
            self._write(0, [0.0, 0.0])  # overwritten when the counts are known
        return self

    def add(self, label: int, image: bytes) -> None:
        """Append one image.

        Parameters
        ----------
        label : int
            The identity: that of the image before or the next one, beginning with 0.
        image : bytes
            The encoded image, JPEG or PNG.
        """
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
        with self._disk_errors():
            self._write(self._count, [float(label)], image)

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        try:
            with self._disk_errors():
                if error is not None:
                    self._files.__exit__(kind, error, trace)
                else:
                    with self._files:
                        self._finish()
        finally:
            if self._is_new:
                with contextlib.suppress(OSError):  # the folder is empty only after an error
                    os.rmdir(self.folder)

    def _finish(self) -> None:
        if not self._count:
            raise UserError(f"{self.folder}: no image was added; nothing is written")
        end = self._count + 1
        for identity, (first, last) in enumerate(zip(self._starts, self._starts[1:] + [end])):
            self._write(end + identity, [first, last])
        self._records.seek(0)
        write_record(self._records, pack([end, end + len(self._starts)], 0))
        self._property.write(f"{len(self._starts)},{self.height},{self.width}\n")
        for stream in (self._records, self._index, self._property):  # a full disk shows before the first appears
            stream.flush()

    def _write(self, number: int, labels: Sequence[float], image: bytes = b"") -> None:
        self._index.write(f"{number}\t{self._records.tell()}\n")
        write_record(self._records, pack(labels, number, image))

    @contextlib.contextmanager
    def _disk_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise UserError(f"{self.folder}: cannot be written: {error.strerror}") from None
