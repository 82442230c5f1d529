"""Score files: the scores of a model's pairs as CSV, from which metrics and comparisons follow without the model.

Columns: set, flip, pair (counted from 0), score, same (1 or 0). bob's score files have the same role.
"""

from __future__ import annotations

import csv
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from arcface_mx.data.bins.read import PairSet
from arcface_mx.data.image_files import read_lines
from arcface_mx.metrics.angles import linked_labels
from arcface_mx.metrics.identity_bootstrap import PairIdentities
from arcface_mx.util.errors import UserError
from arcface_mx.util.files import atomic_write

HEADER = ["set", "flip", "pair", "score", "same"]


class Scored(NamedTuple):
    """Scores of the pairs of a set, in its order.

    Attributes
    ----------
    scores : ndarray of float64, shape (P,)
    same : ndarray of bool, shape (P,)
    """

    scores: np.ndarray
    same: np.ndarray


Key = Tuple[str, str]  # name of the set, flip test


def write_scores(path: str, scored: Dict[Key, Scored]) -> None:
    """Write a score file, whole or not at all."""
    with atomic_write(path, "w") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(HEADER)
        for (name, flip), (scores, same) in scored.items():
            for pair, (score, label) in enumerate(zip(scores.tolist(), same.tolist())):
                writer.writerow([name, flip, pair, repr(score), int(label)])


def read_scores(path: str) -> Dict[Key, Scored]:
    """Read a score file.

    Raises UserError if a line has another form, or the pairs of a set are not 0, 1, 2, … in order.
    """
    try:
        with open(path, encoding="utf-8-sig", newline="") as stream:
            rows = list(csv.reader(stream))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: cannot be read as a score file: {error}") from error
    if not rows or rows[0] != HEADER or len(rows) == 1:
        raise UserError(
            f"{path}: is not a score file; its first line must be {','.join(HEADER)}, and pairs must follow"
        )
    columns: Dict[Key, Tuple[List[float], List[bool]]] = {}
    for number, row in enumerate(rows[1:], 2):
        try:
            name, flip, pair, score, same = row
            value, place = float(score), int(pair)
        except ValueError:
            raise UserError(f"{path}: line {number} is {','.join(row)[:60]!r}; it must be {','.join(HEADER)}") from None
        if same not in ("0", "1") or not np.isfinite(value):
            raise UserError(f"{path}: line {number}: the score must be a finite number and same must be 1 or 0")
        scores, labels = columns.setdefault((name, flip), ([], []))
        if place != len(scores):
            state = "listed again" if place < len(scores) else "missing"
            raise UserError(f"{path}: line {number}: pair {min(place, len(scores))} of set {name} is {state}")
        scores.append(value)
        labels.append(same == "1")
    return {key: Scored(np.asarray(scores), np.asarray(labels)) for key, (scores, labels) in columns.items()}


def pair_identities(pairs: PairSet, path: Optional[str] = None) -> PairIdentities:
    """The identities of the pairs of a set.

    They are read from a list with "identity identity" on a line for each pair. Without a list, images
    that same pairs link are one identity.
    """
    if path is None:
        labels = linked_labels(pairs.left, pairs.right, pairs.same, pairs.num_images)
        return PairIdentities(labels[pairs.left], labels[pairs.right])
    rows = _one_line_a_pair(path, pairs, 2, "identity identity")
    _, numbers = np.unique(np.asarray(rows), return_inverse=True)
    first, second = numbers.reshape(-1, 2).T
    wrong = np.flatnonzero((first == second) != pairs.same)
    if wrong.size:
        number, line = read_lines(path)[int(wrong[0])]
        label = "same" if pairs.same[wrong[0]] else "different"
        raise UserError(f"{path}: line {number} is {line[:60]!r}, but {pairs.path} says that the pair is {label}")
    return PairIdentities(first, second)


def pair_groups(pairs: PairSet, path: str) -> List[str]:
    """The group of each pair, from a list with one word on a line for each pair."""
    return [row[0] for row in _one_line_a_pair(path, pairs, 1, "group")]


def _one_line_a_pair(path: str, pairs: PairSet, words: int, form: str) -> Sequence[List[str]]:
    lines = read_lines(path)
    for number, line in lines:
        if len(line.split()) != words:
            raise UserError(f"{path}: line {number} is {line[:60]!r}; it must be: {form}")
    if len(lines) != len(pairs):
        raise UserError(f"{path}: has {len(lines)} lines, but {pairs.path} has {len(pairs)} pairs; one line a pair")
    return [line.split() for _, line in lines]
