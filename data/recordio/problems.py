"""Find contradictions between labels, `property`, header record and identity records.

No image is decoded; `arcface-mx data check` decodes them all.
"""

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
    """One kind of fault, and all records that have it.

    Parameters
    ----------
    message : str
        What is wrong. If there are records, a predicate about the first of them.
    remedy : str
        What the user can do.
    records : tuple of int
        Numbers of the records that have the fault.
    drop : bool
        Whether a cleaned copy leaves these records out.
    """

    message: str
    remedy: str
    records: Tuple[int, ...] = ()
    drop: bool = False

    def __str__(self) -> str:
        if not self.records:
            return f"{self.message}; {self.remedy}"
        more = f" (and {len(self.records) - 1} more records)" if len(self.records) > 1 else ""
        return f"record {self.records[0]} {self.message}{more}; {self.remedy}"


def find_problems(index: RecordIndex, last_record: int, raw_labels: np.ndarray) -> List[Problem]:
    """What makes `index` unfit for training. `raw_labels` are the float32 labels of its images."""
    problems = _label_problems(index, raw_labels)
    if index.header is not None:
        problems += _header_problems(index, last_record) + _range_problems(index)
    return problems


def _numbers(index: RecordIndex, wrong: np.ndarray) -> Tuple[int, ...]:
    return tuple(index.numbers[wrong].tolist())


def _label_problems(index: RecordIndex, raw: np.ndarray) -> List[Problem]:
    labels, n = index.labels, index.num_classes
    invalid, inexact, high = labels < 0, labels >= EXACT, labels >= n
    problems = []
    if invalid.any():
        message = f"has label {raw[invalid][0]:g}, which is no whole number from 0 on"
        remedy = "pack the images again with labels 0…n−1"
        problems.append(Problem(message, remedy, _numbers(index, invalid), drop=True))
    if inexact.any():
        message = (
            f"has label {labels[inexact][0]}: labels are float32, whole numbers are exact only below 2**24 = {EXACT}"
        )
        problems.append(Problem(message, "use fewer identities", _numbers(index, inexact)))
    if high.any():
        message = f"has label {labels[high][0]}, but property says {n} classes (labels run 0…{n - 1})"
        problems.append(Problem(message, "correct property or pack the images again", _numbers(index, high)))
    present = np.unique(labels[(labels >= 0) & (labels < n)])
    if 0 < len(present) < n:
        gaps = np.flatnonzero(present != np.arange(len(present)))
        first = gaps[0] if len(gaps) else len(present)
        source = f"property says {n} classes" if index.has_property else f"labels run up to {n - 1}"
        message = f"label {first} has no image, though {source} ({n - len(present)} labels have none)"
        problems.append(Problem(message, "correct property or number the identities 0…n−1: " + FIX))
    return problems


def first_image_problems(index: RecordIndex) -> List[Problem]:
    """Decode the first image, and return what makes it unfit for training."""
    number, _, image = next(index.images(np.zeros(1, np.int64)))
    try:
        height, width = decode_bgr(image).shape[:2]
    except ValueError:
        return [Problem("cannot be decoded as an image", "pack the images again", (number,))]
    if (height, width) != (index.height, index.width):
        message = f"is {height}×{width} (height×width), but property says {index.height}×{index.width}"
        return [Problem(message, "correct property or align the images again", (number,))]
    return []


def _header_problems(index: RecordIndex, last_record: int) -> List[Problem]:
    # The header's numbers are float32: beyond 2**24, compare with the nearest numbers that float32 has.
    actual = tuple(np.asarray([index.numbers[-1] + 1, last_record + 1], np.float32).astype(np.int64).tolist())
    problems = []
    if index.header is not None and actual != index.header:
        message = (
            f"the header record says images end before record {index.header[0]} and records before "
            f"{index.header[1]}, but they end before {actual[0]} and {actual[1]}"
        )
        problems.append(Problem(message, "the .rec or the index is incomplete; copy both again, or " + FIX))
    gaps = np.flatnonzero(np.diff(index.numbers) != 1)
    if len(gaps):
        missing = tuple((index.numbers[gaps] + 1).tolist())
        problems.append(Problem("is missing from the index", "delete the .idx to have it rebuilt, or " + FIX, missing))
    return problems


def _range_problems(index: RecordIndex) -> List[Problem]:
    ranges = index.identity_ranges
    if ranges is None or index.numbers[-1] >= EXACT:  # the ranges are float32: not exact, not used
        return []
    stale = "the identity records are stale or labels were changed; " + FIX
    if len(ranges) == 0:
        return [Problem("there is a header record, but there are no identity records", FIX)]
    edges = np.append(ranges[:, 0], index.numbers[-1] + 1)
    broken = (ranges[:, 1] != edges[1:]) | (ranges[:, 0] >= ranges[:, 1])
    broken[0] |= ranges[0, 0] != index.numbers[0]
    if broken.any():
        row = int(np.flatnonzero(broken)[0])
        message = (
            f"identity record {row} holds images {ranges[row, 0]}…{ranges[row, 1] - 1}, which does not "
            "join its neighbours' ranges"
        )
        return [Problem(message, stale)]
    starts = np.searchsorted(index.numbers, ranges[:, 0])
    counts = np.diff(np.append(starts, len(index)))
    identity = np.repeat(np.arange(len(ranges)), counts)
    # The expected label of a range is its median, which one wrong label cannot move.
    median = index.labels[np.lexsort((index.labels, identity))][starts + (counts - 1) // 2]
    wrong = index.labels != median[identity]
    if wrong.any():
        message = (
            f"has label {index.labels[wrong][0]}, but its identity record's other images have label "
            f"{median[identity][wrong][0]}"
        )
        return [Problem(message, stale, _numbers(index, wrong), drop=True)]
    if len(np.unique(median)) != len(ranges):
        return [Problem("two identity records have the same label", stale)]
    return []
