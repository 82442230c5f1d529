"""Scan a whole RecordIO file: its index file, its record starts, and the headers of all records at once."""

from __future__ import annotations

import mmap
import os
import warnings
from typing import List, NamedTuple, Optional, Tuple

import numpy as np

from arcface_mx.data.recordio.record import FIRST, HEADER, MAGIC, MAX_LENGTH, PART, WHOLE
from arcface_mx.util.errors import UserError

MAX_NUMBER = 1 << 48  # of record numbers and offsets, so that sums of them stay in int64
_BLOCK = 1 << 16  # records gathered at a time
_SCAN = 1 << 24  # words searched at a time
FAULTS = (
    "",
    "starts at offset {offset}, outside the file ({size} bytes)",
    "starts at offset {offset}, where there is no record (no RecordIO magic number)",
    "is cut off: the file ends ({size} bytes) before the record does",
    "is shorter than its own header says",
)
_OUTSIDE, _NO_MAGIC, CUT_OFF, _SHORT = 1, 2, 3, 4
MISPLACED = (_OUTSIDE, _NO_MAGIC)  # the faults that the index of another file causes


class Headers(NamedTuple):
    """The headers of R records. If `fault` is not 0, the other fields of the record mean nothing."""

    fault: np.ndarray  # R, index into FAULTS
    kind: np.ndarray  # R, WHOLE or FIRST
    flag: np.ndarray  # R, number of labels behind the header
    label: np.ndarray  # R×2 float32; the second is 0 if the record has one label
    number: np.ndarray  # R, the record number in the header
    body: np.ndarray  # R, bytes after header and labels; −1 if not known (a split record)
    end: np.ndarray  # R, offset behind the first part, padding included


class Words:
    """A .rec file as little-endian 32-bit words, mapped into memory. Use it as a context manager."""

    def __init__(self, path: str) -> None:
        self.path, self.size = path, os.path.getsize(path)
        self._map: Optional[mmap.mmap] = None
        self.words = np.zeros(0, "<u4")

    def __enter__(self) -> Words:
        if self.size >= 4:
            with open(self.path, "rb") as stream:
                self._map = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
            if hasattr(self._map, "madvise"):
                # Headers lie one or two pages apart: reading ahead is faster than one fault a page.
                self._map.madvise(mmap.MADV_SEQUENTIAL)
            self.words = np.frombuffer(self._map, "<u4", self.size // 4)
        return self

    def __exit__(self, *error: object) -> None:
        del self.words  # the map cannot be closed while an array uses it
        if self._map is not None:
            self._map.close()

    def starts(self) -> np.ndarray:
        """Offsets of all records in file order. They are searched for by the magic number, in the whole file."""
        offsets = [np.zeros(0, np.int64)]
        for begin in range(0, len(self.words), _SCAN):
            at = begin + np.flatnonzero(self.words[begin : begin + _SCAN] == MAGIC)
            at = at[at + 1 < len(self.words)]
            kind = self.words[at + 1] >> 29
            offsets.append(4 * at[(kind == WHOLE) | (kind == FIRST)])
            self._release()
        return np.concatenate(offsets)

    def headers(self, offsets: np.ndarray) -> Headers:
        """Gather the headers at `offsets` (int64). File order is fastest."""
        blocks = [self._block(offsets[i : i + _BLOCK]) for i in range(0, max(1, len(offsets)), _BLOCK)]
        return Headers(*(np.concatenate(field) for field in zip(*blocks)))

    def _block(self, offsets: np.ndarray) -> Headers:
        self._release()
        fault = np.zeros(len(offsets), np.int8)
        fault[(offsets < 0) | (offsets + PART.size > self.size)] = _OUTSIDE
        fault[(fault == 0) & (offsets % 4 != 0)] = _NO_MAGIC
        at = np.where(fault == 0, offsets // 4, 0)
        word = self._word(at, 1)
        kind, length = word >> 29, (word & MAX_LENGTH).astype(np.int64)
        is_start = (kind == WHOLE) | (kind == FIRST)
        fault[(fault == 0) & ~((self._word(at, 0) == MAGIC) & is_start)] = _NO_MAGIC
        fault[(fault == 0) & (offsets + PART.size + length > self.size)] = CUT_OFF
        flag = self._word(at, 2).astype(np.int64)
        head = HEADER.size + 4 * flag
        fault[(fault == 0) & (length < np.where(kind == WHOLE, head, HEADER.size))] = _SHORT
        first = np.where(flag > 0, self._word(at, 8), self._word(at, 3))
        second = np.where(flag > 1, self._word(at, 9), 0)
        number = self._word(at, 4).astype(np.int64) | self._word(at, 5).astype(np.int64) << 32
        body = np.where(kind == WHOLE, length - head, -1)
        labels = np.stack([first, second], 1).astype("<u4").view("<f4")
        return Headers(fault, kind, flag, labels, number, body, offsets + PART.size + (length + 3) // 4 * 4)

    def _release(self) -> None:
        # Pages that were read stay in the page cache, but no longer count as memory of this process.
        if self._map is not None and hasattr(self._map, "madvise"):
            self._map.madvise(mmap.MADV_DONTNEED)

    def _word(self, at: np.ndarray, step: int) -> np.ndarray:
        if not len(self.words):
            return np.zeros(len(at), "<u4")
        return self.words[np.minimum(at + step, len(self.words) - 1)]


def read_index_file(path: str) -> Tuple[np.ndarray, np.ndarray]:
    """Record numbers and byte offsets of an .idx file (lines "number<TAB>offset"), both int64.

    Raises UserError with the number of the first line that is not two whole numbers.
    """
    with open(path, "rb") as stream:
        text = stream.read()
    lines = text.count(b"\n") + (not text.endswith(b"\n") and bool(text))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # NumPy warns and stops at text that is no number
        try:
            values = np.fromstring(text, np.int64, sep=" ") if text.strip() else np.zeros(0, np.int64)
        except (DeprecationWarning, ValueError):
            values = np.zeros(1, np.int64)
    if len(values) != 2 * lines or (len(values) and not -MAX_NUMBER < values.min() <= values.max() < MAX_NUMBER):
        raise UserError(
            f"{path}: line {_bad_line(text)} is not a record number and an offset; delete the file, and it "
            "is rebuilt from the .rec"
        )
    return values[0::2], values[1::2]


def _bad_line(text: bytes) -> int:
    """Number of the first line that is not two whole numbers."""
    lines = [line.split() for line in text.split(b"\n")]
    return 1 + next((place for place, words in enumerate(lines) if not _is_entry(words)), len(lines) - 1)


def _is_entry(words: List[bytes]) -> bool:
    numbers = [word.lstrip(b"-") for word in words]
    return len(words) == 2 and all(word.isdigit() and int(word[:20]) < MAX_NUMBER for word in numbers)
