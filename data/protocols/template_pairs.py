"""Read lists of template pairs, "template template 1-or-0" on a line, of which IJB-C has 15,658,489."""

from __future__ import annotations

import csv
from typing import List, NamedTuple, Optional, Tuple

import numpy as np

from arcface_mx.data.image_files import read_lines
from arcface_mx.util.errors import UserError

CHUNK = 1 << 20  # lines read at a time


class TemplatePairs(NamedTuple):
    """Pairs of templates, as rows of the sorted template ids.

    Attributes
    ----------
    first, second : ndarray of int32, shape (P,)
    same : ndarray of bool, shape (P,)
    """

    first: np.ndarray
    second: np.ndarray
    same: np.ndarray


def read_template_pairs(path: str, ids: np.ndarray, source: str, keep_repeated: bool = False) -> TemplatePairs:
    """Read a list of template pairs.

    Parameters
    ----------
    path : str
    ids : ndarray of str, shape (T,)
        The distinct templates that exist; a pair refers to their positions in this array.
    source : str
        Where the templates come from, for messages.
    keep_repeated : bool
        Accept pairs that are listed more than once with the same label.

    Returns
    -------
    TemplatePairs
        In the order of the list.

    Raises
    ------
    UserError
        If a line has another form, a template does not exist, or a pair is repeated.
    """
    pairs = _read_numbers(path, ids) or _read_lines(path, ids, source)
    _refuse_repeated(path, pairs, len(ids), keep_repeated)
    return pairs


def _read_numbers(path: str, ids: np.ndarray) -> Optional[TemplatePairs]:
    """Read templates that are numbers, as those of IJB, in little time and memory.

    None if the file needs the slower reader, which also says what is wrong with it.
    """
    import pandas as pd

    if not all(name.isdecimal() and name == str(int(name)) for name in ids.tolist()):
        return None
    known = pd.Index(ids.astype(np.int64))
    types = {"first": np.int64, "second": np.int64, "same": np.int8, "rest": str}
    parts = []
    try:
        with np.errstate(invalid="ignore"), pd.read_csv(
            path,
            sep=r"\s+",
            header=None,
            names=list(types),
            dtype=types,
            index_col=False,
            quoting=csv.QUOTE_NONE,
            na_filter=False,
            chunksize=CHUNK,
        ) as chunks:
            for chunk in chunks:
                first, second = (known.get_indexer(chunk[name]).astype(np.int32) for name in ("first", "second"))
                same = chunk["same"].to_numpy()
                if min(first.min(), second.min(), same.min()) < 0 or same.max() > 1 or (chunk["rest"] != "").any():
                    return None
                parts.append((first, second, same.astype(bool)))
    except (OSError, ValueError, OverflowError):  # ValueError: also pandas' own errors, and bytes that are no text
        return None
    return TemplatePairs(*(np.concatenate(columns) for columns in zip(*parts))) if parts else None


def _read_lines(path: str, ids: np.ndarray, source: str) -> TemplatePairs:
    """Read templates with any names."""
    rows = {name: row for row, name in enumerate(ids.tolist())}
    first, second, same, missing = [], [], [], []
    for number, line in read_lines(path):
        words = line.split()
        if len(words) != 3 or words[2] not in ("0", "1"):
            raise UserError(f"{path}: line {number} is {line[:60]!r}; it must be: template template 1 (same) or 0")
        missing += [(number, name) for name in words[:2] if name not in rows]
        first.append(rows.get(words[0], -1))
        second.append(rows.get(words[1], -1))
        same.append(words[2] == "1")
    if missing:
        number, name = missing[0]
        raise UserError(
            f"{path}: there is no template {name} in {source} (line {number}; {len(missing)} templates of this list "
            "are missing)"
        )
    return TemplatePairs(np.asarray(first, np.int32), np.asarray(second, np.int32), np.asarray(same, bool))


def _refuse_repeated(path: str, pairs: TemplatePairs, count: int, keep_repeated: bool) -> None:
    """Raise UserError if a pair is listed twice in the same order."""
    keys = pairs.first.astype(np.int64) * count + pairs.second
    rising = np.sort(keys)
    repeated = np.unique(rising[1:][rising[1:] == rising[:-1]])
    if not repeated.size:
        return
    listed = np.flatnonzero(np.isin(keys, repeated))
    order = listed[np.argsort(keys[listed], kind="stable")]  # the places of one pair follow each other
    again = keys[order[1:]] == keys[order[:-1]]
    before, after = order[:-1][again], order[1:][again]
    contradicts = pairs.same[before] != pairs.same[after]
    if keep_repeated and not contradicts.any():
        return
    chosen = np.argmin(np.where(contradicts, after, after + len(keys))) if contradicts.any() else np.argmin(after)
    numbers = _line_numbers(path, (int(before[chosen]), int(after[chosen])))
    what = "with the other label" if contradicts.any() else "again"
    hint = "" if contradicts.any() else "; remove it, or set `keep_repeated`"
    raise UserError(
        f"{path}: line {numbers[1]}: the pair of line {numbers[0]} is listed {what} ({len(after)} repeated pairs){hint}"
    )


def _line_numbers(path: str, pairs: Tuple[int, int]) -> List[int]:
    """The line numbers of pairs, which are counted from 0."""
    with open(path, encoding="utf-8-sig") as stream:
        lines = (number for number, line in enumerate(stream, 1) if line.strip() and not line.strip().startswith("#"))
        wanted = {place: number for place, number in enumerate(lines) if place in pairs}
    return [wanted[place] for place in pairs]
