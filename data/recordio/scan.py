"""Reading the RecordIO container itself: index files, record starts, headers of all records at once.

A record is stored as parts. A part is a word MAGIC, a word (kind << 29 | length), `length` bytes,
and zeros up to the next multiple of four. Kind 0 is a whole record; where a payload holds MAGIC at
a multiple of four, the writer leaves that word out and splits there: kinds 1 (first), 2 (middle),
3 (last). So MAGIC at a multiple of four is always the start of a part. See data/README.md.
"""

from __future__ import annotations

import mmap
import os
import struct
import warnings
from typing import List, NamedTuple, Optional, Tuple

import numpy as np

from arcface_mx.data.recordio.writer import HEADER, MAGIC
from arcface_mx.util.errors import UserError

PART = struct.Struct("<II")
WHOLE, FIRST, LAST = 0, 1, 3
_LENGTH = (1 << 29) - 1
LARGEST = 1 << 48  # of record numbers and offsets: sums of them stay in int64
_BLOCK = 1 << 16  # records gathered at a time
_SCAN = 1 << 24  # words searched at a time


class Headers(NamedTuple):
    """The fixed-size beginnings of R records; where `fault` is not 0 the rest means nothing."""

    fault: np.ndarray  # R, index into FAULTS
    kind: np.ndarray  # R, WHOLE or FIRST
    flag: np.ndarray  # R, number of extra labels
    label: np.ndarray  # R×2 float32; the second is 0 where the record has one label
    own_number: np.ndarray  # R, the number written in the record
    body: np.ndarray  # R, bytes after header and labels; −1: not known (a split record)
    end: np.ndarray  # R, offset behind the first part, padding included


FAULTS = (
    "",
    "starts at offset {offset}, outside the file ({size} bytes)",
    "starts at offset {offset}, where there is no record (no RecordIO magic number)",
    "is cut off: the file ends ({size} bytes) before the record does",
    "is shorter than its own header says",
)
_OUTSIDE, _NO_MAGIC, CUT_OFF, _SHORT = 1, 2, 3, 4
MISPLACED = (_OUTSIDE, _NO_MAGIC)  # faults that an index of another file gives


class Words:
    """A .rec file as little-endian 32-bit words, mapped into memory. Use as a context manager."""

    def __init__(self, path: str) -> None:
        self.path, self.size = path, os.path.getsize(path)
        self._map: Optional[mmap.mmap] = None
        self.words = np.zeros(0, "<u4")

    def __enter__(self) -> Words:
        if self.size >= 4:
            with open(self.path, "rb") as stream:
                self._map = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
            if hasattr(self._map, "madvise"):
                # Headers lie one or two pages apart: reading ahead beats a fault a page.
                self._map.madvise(mmap.MADV_SEQUENTIAL)
            self.words = np.frombuffer(self._map, "<u4", self.size // 4)
        return self

    def __exit__(self, *error: object) -> None:
        del self.words  # the map cannot be closed under an array
        if self._map is not None:
            self._map.close()

    def starts(self) -> np.ndarray:
        """Offsets of all records in file order, found by their magic number (reads the whole file)."""
        found = []
        for begin in range(0, len(self.words), _SCAN):
            at = begin + np.flatnonzero(self.words[begin : begin + _SCAN] == MAGIC)
            at = at[at + 1 < len(self.words)]
            kind = self.words[at + 1] >> 29
            found.append(at[(kind == WHOLE) | (kind == FIRST)])
            self._release()
        return 4 * np.concatenate(found or [np.zeros(0, np.int64)])

    def headers(self, offsets: np.ndarray) -> Headers:
        """Gather the headers at `offsets` (int64, best in file order)."""
        blocks = [self._block(offsets[i : i + _BLOCK]) for i in range(0, max(1, len(offsets)), _BLOCK)]
        return Headers(*(np.concatenate(field) for field in zip(*blocks)))

    def _block(self, offsets: np.ndarray) -> Headers:
        self._release()
        fault = np.zeros(len(offsets), np.int8)
        fault[(offsets < 0) | (offsets + PART.size > self.size)] = _OUTSIDE
        fault[(fault == 0) & (offsets % 4 != 0)] = _NO_MAGIC
        at = np.where(fault == 0, offsets // 4, 0)
        kind, length = self._word(at, 1) >> 29, (self._word(at, 1) & _LENGTH).astype(np.int64)
        start = (kind == WHOLE) | (kind == FIRST)
        fault[(fault == 0) & ~((self._word(at, 0) == MAGIC) & start)] = _NO_MAGIC
        fault[(fault == 0) & (offsets + PART.size + length > self.size)] = CUT_OFF
        flag = self._word(at, 2).astype(np.int64)
        head = HEADER.size + 4 * flag
        fault[(fault == 0) & (length < np.where(kind == WHOLE, head, HEADER.size))] = _SHORT
        first = np.where(flag > 0, self._word(at, 8), self._word(at, 3))
        second = np.where(flag > 1, self._word(at, 9), 0)
        own = self._word(at, 4).astype(np.int64) | self._word(at, 5).astype(np.int64) << 32
        body = np.where(kind == WHOLE, length - head, -1)
        labels = np.stack([first, second], 1).astype("<u4").view("<f4")
        return Headers(fault, kind, flag, labels, own, body, offsets + PART.size + (length + 3) // 4 * 4)

    def _release(self) -> None:
        # Pages read so far stay in the page cache, but no longer count as this process's memory.
        if self._map is not None and hasattr(self._map, "madvise"):
            self._map.madvise(mmap.MADV_DONTNEED)

    def _word(self, at: np.ndarray, step: int) -> np.ndarray:
        if not len(self.words):
            return np.zeros(len(at), "<u4")
        return self.words[np.minimum(at + step, len(self.words) - 1)]


def read_index_file(path: str) -> Tuple[np.ndarray, np.ndarray]:
    """Record numbers and byte offsets of an .idx file (lines "number<TAB>offset"), both int64.

    Raises UserError with the line's number where a line is not two whole numbers.
    """
    with open(path, "rb") as stream:
        text = stream.read()
    lines = text.count(b"\n") + (not text.endswith(b"\n") and bool(text))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # numpy warns, and stops, at text that is no number
        try:
            values = np.fromstring(text, np.int64, sep=" ") if text.strip() else np.zeros(0, np.int64)
        except (DeprecationWarning, ValueError):
            values = np.zeros(1, np.int64)
    if len(values) != 2 * lines or (len(values) and not -LARGEST < values.min() <= values.max() < LARGEST):
        raise UserError(
            f"{path}: line {_bad_line(text)} is not a record number and an offset; delete the file, it is "
            "then rebuilt from the .rec"
        )
    return values[0::2], values[1::2]


def _bad_line(text: bytes) -> int:
    number = 0
    for number, line in enumerate(text.split(b"\n"), 1):
        words = line.split()
        if len(words) != 2 or not all(
            word.lstrip(b"-").isdigit() and int(word.lstrip(b"-")[:20]) < LARGEST for word in words
        ):
            break
    return number


def read_payload(descriptor: int, offset: int) -> bytes:
    """The payload of the record at `offset`, its parts joined. Safe beside other threads.

    Raises ValueError, without the file's name, where there is no whole record.
    """
    parts: List[bytes] = []
    while True:
        head = os.pread(descriptor, PART.size, offset)
        magic, word = PART.unpack(head) if len(head) == PART.size else (0, 0)
        kind, length = word >> 29, word & _LENGTH
        if magic != MAGIC or (kind in (WHOLE, FIRST)) != (not parts):
            raise ValueError(f"no record at offset {offset}")
        part = os.pread(descriptor, length, offset + PART.size)
        if len(part) != length:
            raise ValueError(f"the file ends inside the record at offset {offset}")
        parts.append(part)
        if kind in (WHOLE, LAST):
            return MAGIC.to_bytes(4, "little").join(parts)
        offset += PART.size + (length + 3) // 4 * 4
