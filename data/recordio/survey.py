"""Find the records of a .rec file that can be read, and the reasons why others cannot."""

from __future__ import annotations

import os
from typing import List, NamedTuple, Optional, Tuple

import numpy as np

from arcface_mx.data.recordio.problems import Problem
from arcface_mx.data.recordio.record import WHOLE, read_record
from arcface_mx.data.recordio.scan import CUT_OFF, FAULTS, MISPLACED, Headers, Words, read_index_file

COPY = "copy the file again from its source, or write a set of its readable records: arcface-mx data check --fix"


class Records(NamedTuple):
    """The readable records of a file, ascending by number."""

    numbers: np.ndarray  # int64
    offsets: np.ndarray  # int64
    headers: Headers
    problems: List[Problem]

    def select(self, chosen: np.ndarray) -> Records:
        """The records that a mask or an array of positions chooses."""
        headers = Headers(*(field[chosen] for field in self.headers))
        return Records(self.numbers[chosen], self.offsets[chosen], headers, self.problems)


def survey_records(record_path: str, index_path: str) -> Records:
    """Read the headers of all records. Those that cannot be read are left out and listed as problems.

    A missing index file is rebuilt in memory. Raises UserError if the index file is no index.
    """
    has_index = os.path.exists(index_path)
    rebuild = f"delete {index_path}, and it is rebuilt from the .rec"
    mismatch = "index and .rec do not belong together or one is cut off: copy both again, or " + rebuild
    with Words(record_path) as words:
        records = _gather(words, index_path if has_index else None)
        numbers, offsets, headers, problems = records
        fault = headers.fault.copy()
        _follow_split_records(words.path, records, fault)
        for code in range(1, len(FAULTS)):
            at = np.flatnonzero(fault == code)
            if len(at):
                message = FAULTS[code].format(offset=offsets[at[0]], size=words.size)
                remedy = mismatch if code in MISPLACED and has_index else COPY
                problems.append(Problem(message, remedy, tuple(numbers[at].tolist())))
        readable, by_offset = fault == 0, np.argsort(offsets, kind="stable")
        for wrong, message in _collisions(records, readable, by_offset):
            if wrong.any():
                problems.append(Problem(message, rebuild, tuple(numbers[wrong].tolist())))
                readable = readable & ~wrong
        gap = _first_gap(records, words.size, by_offset) if readable.all() else None
        if gap is not None:
            message = f"bytes from offset {gap} on belong to no record of the index"
            problems.append(Problem(message, mismatch if has_index else COPY))
    return records.select(readable)


def _gather(words: Words, index_path: Optional[str]) -> Records:
    """All records, ascending by number."""
    if index_path:
        numbers, offsets = read_index_file(index_path)
        by_offset = np.argsort(offsets, kind="stable")
        numbers, offsets = numbers[by_offset], offsets[by_offset]
        headers = words.headers(offsets)
    else:
        offsets = words.starts()
        headers = words.headers(offsets)
        # im2rec and InsightFace write a record's number into it. Other writers may leave 0 there.
        numbers = headers.number
        if (numbers < 0).any() or len(np.unique(numbers)) != len(numbers):
            numbers = np.arange(len(numbers))
    records = Records(numbers, offsets, headers, [])
    if (np.diff(numbers) > 0).all():  # nearly always true, and sorting millions of records takes seconds
        return records
    return records.select(np.argsort(numbers, kind="stable"))


def _collisions(records: Records, readable: np.ndarray, by_offset: np.ndarray) -> List[Tuple[np.ndarray, str]]:
    repeated, inside = np.zeros(len(readable), bool), np.zeros(len(readable), bool)
    repeated[1:] = records.numbers[1:] == records.numbers[:-1]
    order = by_offset[readable[by_offset]]
    inside[order[1:]] = records.offsets[order[1:]] < records.headers.end[order[:-1]]
    return [
        (repeated & readable, "stands more than once in the index"),
        (inside & ~repeated, "starts inside another record"),
    ]


def _first_gap(records: Records, size: int, order: np.ndarray) -> Optional[int]:
    """Offset of the first bytes that no record covers; None if there are none. `order` sorts by offset."""
    ends = np.append(0, records.headers.end[order])
    starts = np.append(records.offsets[order], size)
    # The end of a split record is not known here. Padding that is cut off at the end of the file does no harm.
    known = np.append(True, records.headers.kind[order] == WHOLE)
    gaps = ends[known & (ends < starts)]
    return int(gaps[0]) if len(gaps) else None


def _follow_split_records(path: str, records: Records, fault: np.ndarray) -> None:
    # These hold the magic number in their payload: about one image in two million.
    split = np.flatnonzero((records.headers.kind != WHOLE) & (fault == 0))
    if not len(split):
        return
    with open(path, "rb") as stream:
        for position in split:
            try:
                read_record(stream.fileno(), int(records.offsets[position]))
            except ValueError:
                fault[position] = CUT_OFF
