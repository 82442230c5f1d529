"""Which records of a .rec file can be read, and what keeps the others from it."""

from __future__ import annotations

import os
from typing import List, NamedTuple, Optional, Tuple

import numpy as np

from arcface_mx.data.check.labels import Problem
from arcface_mx.data.recordio.scan import (
    CUT_OFF,
    FAULTS,
    MISPLACED,
    WHOLE,
    Headers,
    Words,
    read_index_file,
    read_payload,
)
from arcface_mx.data.recordio.writer import unpack

REBUILD = "delete %s, it is then rebuilt from the .rec"
COPY = "copy the file again from its source, or write a set of what is sound: arcface-mx data check --fix"


class Records(NamedTuple):
    """The readable records of a file, ascending by number."""

    numbers: np.ndarray  # int64
    offsets: np.ndarray  # int64
    headers: Headers
    problems: List[Problem]


def survey_records(record_path: str, index_path: str) -> Records:
    """Read the headers of all records; those that cannot be read are left out and told as problems.

    A missing index file is rebuilt in memory. Raises UserError where the index file is no index.
    """
    with Words(record_path) as words:
        numbers, offsets, headers = _gather(words, index_path)
        fault = headers.fault.copy()
        _follow_split_records(words, offsets, headers, fault)
        sound, problems = fault == 0, []
        for number in range(1, len(FAULTS)):
            at = np.flatnonzero(fault == number)
            if len(at):
                found = FAULTS[number].format(offset=offsets[at[0]], size=words.size)
                remedy = _mismatch(index_path) if number in MISPLACED and os.path.exists(index_path) else COPY
                problems.append(Problem(found, remedy, tuple(numbers[at].tolist())))
        for wrong, found in _collisions(numbers, offsets, headers, sound):
            if wrong.any():
                problems.append(Problem(found, REBUILD % index_path, tuple(numbers[wrong].tolist())))
                sound = sound & ~wrong
        if sound.all():
            gap = _first_gap(words.size, offsets, headers)
            if gap is not None:
                found = f"bytes from offset {gap} on belong to no record of the index"
                problems.append(Problem(found, _mismatch(index_path) if os.path.exists(index_path) else COPY))
    kept = Headers(*(field[sound] for field in headers))
    return Records(numbers[sound], offsets[sound], kept, problems)


def _mismatch(index_path: str) -> str:
    return "index and .rec do not belong together or one is cut off: copy both again, or " + REBUILD % index_path


def _gather(words: Words, index_path: str) -> Tuple[np.ndarray, np.ndarray, Headers]:
    """Numbers, offsets and headers of all records, ascending by number."""
    if os.path.exists(index_path):
        numbers, offsets = read_index_file(index_path)
        by_offset = np.argsort(offsets, kind="stable")
        numbers, offsets = numbers[by_offset], offsets[by_offset]
        headers = words.headers(offsets)
    else:
        offsets = words.starts()
        headers = words.headers(offsets)
        # im2rec and InsightFace write a record's number into it; other writers may leave 0 there.
        own = headers.own_number
        distinct = (own >= 0).all() and len(np.unique(own)) == len(own)
        numbers = own if distinct else np.arange(len(own))
    if (np.diff(numbers) > 0).all():  # as good as always; sorting millions of records takes seconds
        return numbers, offsets, headers
    order = np.argsort(numbers, kind="stable")
    return numbers[order], offsets[order], Headers(*(field[order] for field in headers))


def _collisions(
    numbers: np.ndarray, offsets: np.ndarray, headers: Headers, sound: np.ndarray
) -> List[Tuple[np.ndarray, str]]:
    twice = np.zeros(len(numbers), bool)
    twice[1:] = numbers[1:] == numbers[:-1]
    inside = np.zeros(len(numbers), bool)
    placed = np.argsort(offsets, kind="stable")
    placed = placed[sound[placed]]
    inside[placed[1:]] = offsets[placed[1:]] < headers.end[placed[:-1]]
    return [(twice & sound, "stands more than once in the index"), (inside & ~twice, "starts inside another record")]


def _first_gap(size: int, offsets: np.ndarray, headers: Headers) -> Optional[int]:
    """Offset of the first bytes that no record covers, None where there are none."""
    placed = np.argsort(offsets, kind="stable")
    ends = np.append(0, headers.end[placed])
    starts = np.append(offsets[placed], size)
    # Where a split record ends is not known here; a cut-off padding at the end does no harm.
    known = np.append(True, headers.kind[placed] == WHOLE)
    gaps = ends[known & (ends < starts)]
    return int(gaps[0]) if len(gaps) else None


def _follow_split_records(words: Words, offsets: np.ndarray, headers: Headers, fault: np.ndarray) -> None:
    # A payload that holds the magic number: about one image in two million.
    split = np.flatnonzero((headers.kind != WHOLE) & (fault == 0))
    if not len(split):
        return
    with open(words.path, "rb") as stream:
        for position in split:
            try:
                unpack(read_payload(stream.fileno(), int(offsets[position])))
            except ValueError:
                fault[position] = CUT_OFF
