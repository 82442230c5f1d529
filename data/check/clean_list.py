"""The list that `data clean` writes, to be read, edited and applied.

Columns: what ("photo", "identity"), number (of the record, or label), label, action ("leave out",
"merge into L", "keep"), why. A line that is removed, or whose action is "keep", does nothing.
"""

from __future__ import annotations

import csv
import re
import zlib
from typing import Any, Dict, List, NamedTuple

import numpy as np

from arcface_mx.data.check.fix import copy_records
from arcface_mx.data.recordio.index import RecordIndex
from arcface_mx.util.errors import UserError
from arcface_mx.util.files import atomic_write

COLUMNS = ("what", "number", "label", "action", "why")
LEAVE_OUT, KEEP = "leave out", "keep"


class Entry(NamedTuple):
    """One line of the list."""

    what: str
    number: int
    label: int
    action: str
    why: str


def stamp(index: RecordIndex) -> str:
    """A mark of the set that a list belongs to: of its labels, record numbers and offsets."""
    value = 0
    for array in (index.numbers, index.labels, index.offsets):
        value = zlib.crc32(np.ascontiguousarray(array).tobytes(), value)
    return f"{len(index)} images, {value:08x}"


def write_list(path: str, index: RecordIndex, entries: List[Entry]) -> None:
    """Write the list, whole or not at all."""
    with atomic_write(path, "w") as stream:
        stream.write(f"# {stamp(index)}\n")
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(entries)


def read_list(path: str, index: RecordIndex) -> List[Entry]:
    """Read a list for `index`. Raises UserError where it is another set's, or naming the line."""
    with open(path, encoding="utf-8-sig", errors="replace", newline="") as stream:
        first = stream.readline().strip()
        if first != "# " + stamp(index):
            raise UserError(f"{path}: was made for another set ({first[2:]}; this one: {stamp(index)}); make it again")
        try:
            rows = list(csv.reader(stream))
        except csv.Error as error:
            raise UserError(f"{path}: cannot be read as CSV: {error}") from None
    if not rows or tuple(rows[0]) != COLUMNS:
        raise UserError(f"{path}: line 2 must be {','.join(COLUMNS)}")
    entries = []
    numbers = set(index.numbers.tolist())
    for number, row in enumerate(rows[1:], 3):
        if not row:
            continue
        good = (
            len(row) == 5
            and all(re.fullmatch("[0-9]{1,18}", word) for word in row[1:3])
            and row[0] in ("photo", "identity")
        )
        if good:
            entry = Entry(row[0], int(row[1]), int(row[2]), row[3].strip(), row[4])
            known = entry.number in numbers if entry.what == "photo" else entry.number < index.num_classes
            merge = re.fullmatch(r"merge into ([0-9]{1,18})", entry.action)
            action = entry.action in (LEAVE_OUT, KEEP) or (
                entry.what == "identity" and merge is not None and int(merge[1]) < index.num_classes
            )
            good = known and action
        if not good:
            raise UserError(
                f"{path}: line {number} is not understood: {','.join(row)[:100]}; actions are: leave out, "
                "keep, and for identities merge into LABEL"
            )
        entries.append(entry)
    return entries


def apply_list(index: RecordIndex, entries: List[Entry], folder: str) -> Dict[str, Any]:
    """Write the set without what is left out, identities merged and numbered anew; returns cleaned.json."""
    position = {int(number): place for place, number in enumerate(index.numbers)}
    root = np.arange(index.num_classes)
    left_out: Dict[int, str] = {}
    for entry in entries:
        if entry.action.startswith("merge into "):
            one, other = _root(root, entry.number), _root(root, int(entry.action.split()[-1]))
            root[max(one, other)] = min(one, other)
    for entry in entries:
        if entry.action != LEAVE_OUT:
            continue
        if entry.what == "photo":
            left_out[entry.number] = entry.why
        else:
            for number in index.numbers[index.labels == entry.number]:
                left_out[int(number)] = entry.why
    kept = np.ones(len(index), bool)
    kept[[position[number] for number in left_out]] = False
    labels = np.asarray([_root(root, label) for label in range(index.num_classes)])[index.labels]
    return copy_records(index, np.flatnonzero(kept), folder, left_out, labels)


def _root(root: np.ndarray, label: int) -> int:
    while root[label] != label:
        label = int(root[label])
    return label
