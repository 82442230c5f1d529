"""The list of label errors that `arcface-mx data clean` writes, and that can be edited and applied.

Columns: what ("image" or "identity"), number (of the record, or the label), label, action ("leave
out", "merge into LABEL" or "keep"), why. A line that is deleted, or whose action is "keep", has no
effect.
"""

from __future__ import annotations

import csv
import re
import zlib
from typing import Any, Dict, List, NamedTuple, Optional, Sequence

import numpy as np

from arcface_mx.data.check.fix import copy_records
from arcface_mx.data.recordio.index import RecordIndex
from arcface_mx.util.errors import UserError
from arcface_mx.util.files import atomic_write

COLUMNS = ("what", "number", "label", "action", "why")
IMAGE, IDENTITY = "image", "identity"
LEAVE_OUT, KEEP = "leave out", "keep"


class Entry(NamedTuple):
    """One line of the list, with the columns described above."""

    what: str
    number: int
    label: int
    action: str
    why: str

    @property
    def merge_target(self) -> Optional[int]:
        """The label that an identity is merged into; None for other actions."""
        match = re.fullmatch(r"merge into ([0-9]{1,18})", self.action)
        return int(match[1]) if match and self.what == IDENTITY else None


def write_list(path: str, index: RecordIndex, entries: Sequence[Entry]) -> None:
    """Write the list of a face set."""
    with atomic_write(path, "w") as stream:
        stream.write(f"# {_stamp(index)}\n")
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(entries)


def read_list(path: str, index: RecordIndex) -> List[Entry]:
    """Read the list of a face set.

    Raises
    ------
    UserError
        If the list was made for another set, or if a line is not understood.
    """
    with open(path, encoding="utf-8-sig", errors="replace", newline="") as stream:
        stamp = stream.readline().strip()
        if stamp != f"# {_stamp(index)}":
            raise UserError(
                f"{path}: was made for another set ({stamp[2:]}; this set: {_stamp(index)}); make the list again"
            )
        try:
            rows = list(csv.reader(stream))
        except csv.Error as error:
            raise UserError(f"{path}: cannot be read as CSV: {error}") from None
    if not rows or tuple(rows[0]) != COLUMNS:
        raise UserError(f"{path}: line 2 must be {','.join(COLUMNS)}")
    entries = []
    known = {IMAGE: set(index.numbers.tolist()), IDENTITY: range(index.num_classes)}
    for number, row in enumerate(rows[1:], 3):
        if not row:
            continue
        entry = _parse(row)
        if entry is None or entry.number not in known[entry.what] or not _is_allowed(entry, index.num_classes):
            raise UserError(
                f"{path}: line {number} is not understood: {','.join(row)[:100]}; the actions are: leave out, keep, "
                "and for identities merge into LABEL"
            )
        entries.append(entry)
    return entries


def apply_list(index: RecordIndex, entries: Sequence[Entry], folder: str) -> Dict[str, Any]:
    """Write a copy of the set with the actions done, and identities numbered 0, 1, 2, … again.

    Returns
    -------
    dict
        Counts, and what was left out; the contents of ``cleaned.json`` in the new folder.
    """
    root = np.arange(index.num_classes)  # the smallest label that each identity is merged with
    left_out: Dict[int, str] = {}
    for entry in entries:
        if entry.merge_target is not None:
            first, second = _find_root(root, entry.number), _find_root(root, entry.merge_target)
            root[max(first, second)] = min(first, second)
        elif entry.action == LEAVE_OUT and entry.what == IMAGE:
            left_out[entry.number] = entry.why
        elif entry.action == LEAVE_OUT:
            for number in index.numbers[index.labels == entry.number]:
                left_out[int(number)] = entry.why
    kept = ~np.isin(index.numbers, list(left_out))
    labels = np.asarray([_find_root(root, label) for label in range(index.num_classes)])[index.labels]
    return copy_records(index, np.flatnonzero(kept), folder, left_out, labels)


def _stamp(index: RecordIndex) -> str:
    """A text that identifies a set by its labels, record numbers and offsets."""
    value = 0
    for array in (index.numbers, index.labels, index.offsets):
        value = zlib.crc32(np.ascontiguousarray(array).tobytes(), value)
    return f"{len(index)} images, {value:08x}"


def _parse(row: Sequence[str]) -> Optional[Entry]:
    if len(row) != 5 or row[0] not in (IMAGE, IDENTITY) or not all(re.fullmatch("[0-9]{1,18}", k) for k in row[1:3]):
        return None
    return Entry(row[0], int(row[1]), int(row[2]), row[3].strip(), row[4])


def _is_allowed(entry: Entry, num_classes: int) -> bool:
    if entry.merge_target is not None:
        return entry.merge_target < num_classes
    return entry.action in (LEAVE_OUT, KEEP)


def _find_root(root: np.ndarray, label: int) -> int:
    while root[label] != label:
        label = int(root[label])
    return label
