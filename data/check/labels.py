"""Do labels, `property`, header record and identity records agree? Vectorised, no image is decoded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, List, Tuple

import numpy as np

from arcface_mx.data.images import decode_bgr

if TYPE_CHECKING:
    from arcface_mx.data.recordio.index import RecordIndex

EXACT = 1 << 24  # float32 holds every whole number up to here
FIX = "write a cleaned copy: arcface-mx data check --fix"


@dataclass(frozen=True)
class Problem:
    """One kind of thing that is wrong, and all records that have it."""

    found: str  # of the first record, as a predicate where there are records
    remedy: str
    records: Tuple[int, ...] = ()
    drop: bool = False  # a cleaned copy leaves these records out

    def __str__(self) -> str:
        if not self.records:
            return f"{self.found}; {self.remedy}"
        more = f" (and {len(self.records) - 1} more records)" if len(self.records) > 1 else ""
        return f"record {self.records[0]} {self.found}{more}; {self.remedy}"


def find_problems(index: RecordIndex, last_record: int, raw_labels: np.ndarray) -> List[Problem]:
    """What keeps `index` from being trained on; `raw_labels` are the float32 labels of its images."""
    problems = _label_problems(index, raw_labels) + _size_problems(index)
    if index.header is not None:
        problems += _header_problems(index, last_record)
        problems += _range_problems(index)
    return problems


def _at(index: RecordIndex, wrong: np.ndarray) -> Tuple[int, ...]:
    return tuple(index.numbers[wrong].tolist())


def _label_problems(index: RecordIndex, raw: np.ndarray) -> List[Problem]:
    problems, labels, n = [], index.labels, index.num_classes
    broken = labels < 0
    if broken.any():
        found = f"has label {raw[broken][0]:g}, which is no whole number from 0 on"
        problems.append(Problem(found, "pack the images again with labels 0…n−1", _at(index, broken), drop=True))
    inexact = labels >= EXACT
    if inexact.any():
        found = (
            f"has label {labels[inexact][0]}: labels are float32, whole numbers are exact only below 2**24 = {EXACT}"
        )
        problems.append(Problem(found, "use fewer identities", _at(index, inexact)))
    high = labels >= n
    if high.any():
        found = f"has label {labels[high][0]}, but property says {n} classes (labels run 0…{n - 1})"
        problems.append(Problem(found, "correct property or pack the images again", _at(index, high)))
    present = np.unique(labels[(labels >= 0) & (labels < n)])
    if 0 < len(present) < n:
        gaps = np.flatnonzero(present != np.arange(len(present)))
        source = f"property says {n} classes" if index.has_property else f"labels run up to {n - 1}"
        found = (
            f"label {(gaps[0] if len(gaps) else len(present))} has no image, though {source} "
            f"({n - len(present)} labels have none)"
        )
        problems.append(Problem(found, "correct property or number the identities 0…n−1: " + FIX))
    return problems


def _size_problems(index: RecordIndex) -> List[Problem]:
    """Of the first image alone; arcface-mx data check looks at all."""
    number, _, image = next(index.images(np.zeros(1, np.int64)))
    try:
        pixels = decode_bgr(image)
    except ValueError:
        return [Problem("cannot be decoded as an image", "pack the images again", (number,))]
    if pixels.shape[:2] != (index.height, index.width):
        found = "is %d×%d (height×width), but property says %d×%d" % (pixels.shape[:2] + (index.height, index.width))
        return [Problem(found, "correct property or align the images again", (number,))]
    return []


def _header_problems(index: RecordIndex, last_record: int) -> List[Problem]:
    assert index.header is not None
    # The header's numbers are float32 themselves: beyond 2**24 compare what float32 can say.
    actual = np.asarray([index.numbers[-1] + 1, last_record + 1], np.float32).astype(np.int64)
    problems = []
    if tuple(actual.tolist()) != index.header:
        found = (
            "the header record says images end before record %d and records before %d, but they end before %d and %d"
            % (index.header + tuple(actual.tolist()))
        )
        problems.append(Problem(found, "the .rec or the index is not whole; copy both again, or " + FIX))
    gaps = np.flatnonzero(np.diff(index.numbers) != 1)
    if len(gaps):
        found = "is missing from the index"
        missing = index.numbers[gaps] + 1
        problems.append(Problem(found, "delete the .idx to have it rebuilt, or " + FIX, tuple(missing.tolist())))
    return problems


def _range_problems(index: RecordIndex) -> List[Problem]:
    ranges = index.identity_ranges
    if ranges is None or index.numbers[-1] >= EXACT:  # ranges are float32: not exact, not used
        return []
    stale = "the identity records are stale or labels were changed; " + FIX
    if len(ranges) == 0:
        return [Problem("there is a header record, but there are no identity records", FIX)]
    edges = np.append(ranges[:, 0], index.numbers[-1] + 1)
    broken = (ranges[:, 1] != edges[1:]) | (ranges[:, 0] >= ranges[:, 1])
    broken[0] |= ranges[0, 0] != index.numbers[0]
    if broken.any():
        row = int(np.flatnonzero(broken)[0])
        found = (
            f"identity record {row} holds images {ranges[row, 0]}…{ranges[row, 1] - 1}, which does not "
            "join its neighbours' ranges"
        )
        return [Problem(found, stale)]
    position = np.searchsorted(index.numbers, ranges[:, 0])
    owner = np.repeat(np.arange(len(ranges)), np.diff(np.append(position, len(index))))
    expected = _commonest_label(index.labels, position)[owner]
    wrong = index.labels != expected
    if wrong.any():
        found = (
            f"has label {index.labels[wrong][0]}, but its identity record's other images have label "
            f"{expected[wrong][0]}"
        )
        return [Problem(found, stale, _at(index, wrong), drop=True)]
    if len(np.unique(expected[position])) != len(ranges):
        return [Problem("two identity records have the same label", stale)]
    return []


def _commonest_label(labels: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """The label of each range [starts[i], starts[i+1]): the median, which one wrong label cannot move."""
    ends = np.append(starts[1:], len(labels))
    owner = np.repeat(np.arange(len(starts)), ends - starts)
    order = np.lexsort((labels, owner))
    return labels[order][(starts + ends - 1) // 2]
