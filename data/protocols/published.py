"""Verification protocols as published: lists of pairs, in the order of their folds.

| kind | file | line |
|---|---|---|
| lfw | pairs.txt, pairsDevTrain.txt, pairsDevTest.txt | `name n1 n2` (same), `name1 n1 name2 n2` (different) |
| cfp-fp, cfp-ff | the folder Protocol | Pair_list_*.txt: `number path`; Split/*/01…10/same.txt, diff.txt: `i,j` |
| list | AgeDB-30's and other lists | `path path 1` or `path path 0` |
| two-lines | pairs_CALFW.txt, pairs_CPLFW.txt | `file flag`, two lines a pair, 0: different |
| ytf | splits.txt | `split, pair, person/video, person/video, same` |
"""

from __future__ import annotations

import os
import re
from typing import Callable, Dict, List, NamedTuple, Tuple

import numpy as np

from arcface_mx.util.errors import UserError


class PhotoPair(NamedTuple):
    """Two photos (paths below the photos' folder; ytf: folders of frames)."""

    first: str
    second: str
    same: bool


def read_protocol(kind: str, path: str) -> List[PhotoPair]:
    """The pairs of a protocol, see above. Raises UserError naming file and line."""
    pairs = READERS[kind](path)
    if not pairs:
        raise UserError(f"{path}: holds no pairs")
    return pairs


def _lines(path: str) -> List[Tuple[int, str]]:
    """(line number, text) of the lines that hold something."""
    try:
        with open(path, encoding="utf-8-sig") as stream:
            return [(number, line.strip()) for number, line in enumerate(stream, 1) if line.strip()]
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: is no text file (UTF-8)") from None


def _is_number(word: str) -> bool:
    return re.fullmatch("[0-9]{1,9}", word) is not None


def _wrong(path: str, number: int, line: str, expected: str) -> UserError:
    return UserError(f"{path}: line {number} is {line[:80]!r}; expected {expected}")


def _read_lfw(path: str) -> List[PhotoPair]:
    lines = _lines(path)
    header = lines[0][1].split() if lines else []
    if not 1 <= len(header) <= 2 or not all(_is_number(word) for word in header):
        raise UserError(f"{path}: line 1 must say how many folds and pairs, as in LFW's pairs.txt: 10<TAB>300")
    folds, size = (int(header[0]), int(header[1])) if len(header) == 2 else (1, int(header[0]))
    pairs = []
    for number, line in lines[1:]:
        words = line.split("\t") if "\t" in line else line.split()
        if len(words) == 3 and _is_number(words[1]) and _is_number(words[2]):
            pairs.append(PhotoPair(_lfw_photo(words[0], words[1]), _lfw_photo(words[0], words[2]), True))
        elif len(words) == 4 and _is_number(words[1]) and _is_number(words[3]):
            pairs.append(PhotoPair(_lfw_photo(words[0], words[1]), _lfw_photo(words[2], words[3]), False))
        else:
            raise _wrong(path, number, line, "name n1 n2, or name1 n1 name2 n2")
    if len(pairs) != 2 * folds * size:
        raise UserError(
            f"{path}: line 1 announces {folds} folds of {size} same and as many different pairs, but "
            f"{len(pairs)} pairs follow"
        )
    return pairs


def _lfw_photo(name: str, number: str) -> str:
    return f"{name}/{name}_{int(number):04}.jpg"


def _read_cfp(second: str) -> Callable[[str], List[PhotoPair]]:
    def read(folder: str) -> List[PhotoPair]:
        first_paths = _read_cfp_list(os.path.join(folder, "Pair_list_F.txt"))
        second_paths = _read_cfp_list(os.path.join(folder, f"Pair_list_{second}.txt"))
        split = os.path.join(folder, "Split", "F" + second)
        folds = sorted(os.listdir(split)) if os.path.isdir(split) else []
        pairs = []
        for fold in [name for name in folds if _is_number(name)]:
            for name, same in (("same.txt", True), ("diff.txt", False)):
                path = os.path.join(split, fold, name)
                for number, line in _lines(path):
                    places = re.fullmatch(r"([0-9]{1,9})\s*,\s*([0-9]{1,9})", line)
                    if not places or int(places[1]) not in first_paths or int(places[2]) not in second_paths:
                        raise _wrong(path, number, line, "two numbers of Pair_list files, such as 1,14")
                    pairs.append(PhotoPair(first_paths[int(places[1])], second_paths[int(places[2])], same))
        if not pairs:
            raise UserError(f"{split}: no fold with same.txt and diff.txt; give CFP's folder Protocol")
        return pairs

    return read


def _read_cfp_list(path: str) -> Dict[int, str]:
    """{number: path below CFP's Data/Images}"""
    found = {}
    for number, line in _lines(path):
        words = line.split(None, 1)
        place = words[1].replace("\\", "/") if len(words) == 2 else ""
        if not _is_number(words[0]) or "/" not in place:
            raise _wrong(path, number, line, "a number and a path, such as 1 ../Data/Images/001/frontal/01.jpg")
        found[int(words[0])] = place.rpartition("Images/")[2]
    return found


def _read_list(path: str) -> List[PhotoPair]:
    pairs = []
    for number, line in _lines(path):
        words = [word.strip() for word in re.split(r"\t|,", line)] if re.search(r"[\t,]", line) else line.split()
        if len(words) != 3 or words[2] not in ("0", "1"):
            raise _wrong(path, number, line, "path path 1 (same) or 0 (different)")
        pairs.append(PhotoPair(words[0], words[1], words[2] == "1"))
    return _in_folds(pairs)


def _read_two_lines(path: str) -> List[PhotoPair]:
    entries = []
    for number, line in _lines(path):
        name, _, flag = line.replace("\t", " ").rpartition(" ")
        if not name or not _is_number(flag):
            raise _wrong(path, number, line, "a file name and a number (0: different)")
        entries.append((number, line, name.strip(), flag != "0"))
    if len(entries) % 2:
        raise UserError(f"{path}: {len(entries)} lines; two lines make a pair")
    pairs = []
    for (_, _, first, same), (number, line, second, again) in zip(entries[::2], entries[1::2]):
        if same != again:
            raise _wrong(path, number, line, "the same flag as in the line before")
        pairs.append(PhotoPair(first, second, same))
    return _in_folds(pairs)


def _read_ytf(path: str) -> List[PhotoPair]:
    pairs: List[Tuple[int, PhotoPair]] = []
    for number, line in _lines(path):
        words = [word.strip() for word in line.split(",")]
        if not _is_number(words[0]) and not pairs:  # the heading
            continue
        if (
            len(words) < 5
            or not _is_number(words[0])
            or "/" not in words[2]
            or "/" not in words[3]
            or words[4] not in ("0", "1")
        ):
            raise _wrong(path, number, line, "split, pair, person/video, person/video, 1 or 0")
        pairs.append((int(words[0]), PhotoPair(words[2], words[3], words[4] == "1")))
    return [pair for _, pair in sorted(pairs, key=lambda entry: entry[0])]


def _in_folds(pairs: List[PhotoPair], folds: int = 10) -> List[PhotoPair]:
    """Lists without folds of their own, all same pairs first: a tenth of each kind makes a fold.

    A list whose tenths hold both kinds stays as it is.
    """
    same = np.asarray([pair.same for pair in pairs])
    if not pairs or len(pairs) % folds:
        return pairs
    shares = same.reshape(folds, -1).mean(1)
    if 0 < shares.min() and shares.max() < 1:
        return pairs
    parts = [np.array_split(np.flatnonzero(same == kind), folds) for kind in (True, False)]
    return [pairs[place] for fold in range(folds) for part in parts for place in part[fold]]


READERS: Dict[str, Callable[[str], List[PhotoPair]]] = {
    "lfw": _read_lfw,
    "cfp-fp": _read_cfp("P"),
    "cfp-ff": _read_cfp("F"),
    "list": _read_list,
    "two-lines": _read_two_lines,
    "ytf": _read_ytf,
}
