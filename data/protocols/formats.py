"""Read published verification protocols: lists of image pairs, in the order of their folds.

| kind | file | line |
|---|---|---|
| lfw | pairs.txt, pairsDevTrain.txt, pairsDevTest.txt | `name n1 n2` (same), `name1 n1 name2 n2` (different) |
| cfp-fp, cfp-ff | the folder Protocol | Pair_list_*.txt: `number path`; Split/*/01…10/same.txt, diff.txt: `i,j` |
| list | lists such as that of AgeDB-30 | `path path 1` (same) or `path path 0` (different) |
| two-lines | pairs_CALFW.txt, pairs_CPLFW.txt | `file flag`; two lines make a pair; flag 0: different |
| ytf | splits.txt | `split, pair, identity/video, identity/video, same` |
"""

from __future__ import annotations

import os
import re
from functools import partial
from typing import Callable, Dict, List, NamedTuple, Tuple

import numpy as np

from arcface_mx.data.bins.draw_pairs import FOLDS
from arcface_mx.data.image_files import read_lines
from arcface_mx.util.errors import UserError


class ImagePair(NamedTuple):
    """Two images and whether they show the same identity.

    Attributes
    ----------
    first, second : str
        Paths relative to the folder of the images; for YTF the folders with the frames of a video.
    same : bool
        Whether they show the same identity.
    """

    first: str
    second: str
    same: bool


def read_protocol(kind: str, path: str) -> List[ImagePair]:
    """Read the pairs of a published protocol.

    Parameters
    ----------
    kind : str
        ``"lfw"``, ``"cfp-fp"``, ``"cfp-ff"``, ``"list"``, ``"two-lines"`` or ``"ytf"``, see above.
    path : str
        The file of the protocol; for CFP its folder Protocol.

    Returns
    -------
    list of ImagePair
        In the order of the folds.

    Raises
    ------
    UserError
        If a file cannot be read, or if a line has another form.
    """
    pairs = READERS[kind](path)
    if not pairs:
        raise UserError(f"{path}: contains no pairs")
    return pairs


def _is_number(word: str) -> bool:
    return re.fullmatch("[0-9]{1,9}", word) is not None


def _bad_line(path: str, number: int, line: str, expected: str) -> UserError:
    return UserError(f"{path}: line {number} is {line[:80]!r}; expected {expected}")


def _read_lfw(path: str) -> List[ImagePair]:
    lines = read_lines(path)
    header = lines[0][1].split()
    if len(header) > 2 or not all(_is_number(word) for word in header):
        raise UserError(f"{path}: line 1 must be the numbers of folds and of pairs, as in LFW's pairs.txt: 10<TAB>300")
    folds, size = (int(header[0]), int(header[1])) if len(header) == 2 else (1, int(header[0]))
    pairs = []
    for number, line in lines[1:]:
        words = line.split("\t") if "\t" in line else line.split()
        same = len(words) == 3
        if same:
            words.insert(2, words[0])
        if len(words) != 4 or not (_is_number(words[1]) and _is_number(words[3])):
            raise _bad_line(path, number, line, "name n1 n2, or name1 n1 name2 n2")
        first, second = (f"{name}/{name}_{int(image):04}.jpg" for name, image in (words[:2], words[2:]))
        pairs.append(ImagePair(first, second, same))
    if len(pairs) != 2 * folds * size:
        raise UserError(
            f"{path}: line 1 announces {folds} folds of {size} same and {size} different pairs, but {len(pairs)} "
            "pairs follow"
        )
    return pairs


def _read_cfp(second: str, folder: str) -> List[ImagePair]:
    """Read frontal-profile (`second` is "P") or frontal-frontal ("F") pairs."""
    first_paths = _read_cfp_list(os.path.join(folder, "Pair_list_F.txt"))
    second_paths = _read_cfp_list(os.path.join(folder, f"Pair_list_{second}.txt"))
    split = os.path.join(folder, "Split", "F" + second)
    folds = sorted(filter(_is_number, os.listdir(split))) if os.path.isdir(split) else []
    pairs = []
    for fold in folds:
        for name, same in (("same.txt", True), ("diff.txt", False)):
            path = os.path.join(split, fold, name)
            for number, line in read_lines(path):
                match = re.fullmatch(r"([0-9]{1,9})\s*,\s*([0-9]{1,9})", line)
                if not match or int(match[1]) not in first_paths or int(match[2]) not in second_paths:
                    raise _bad_line(path, number, line, "two numbers of Pair_list files, such as 1,14")
                pairs.append(ImagePair(first_paths[int(match[1])], second_paths[int(match[2])], same))
    if not pairs:
        raise UserError(f"{split}: contains no fold with same.txt and diff.txt; give CFP's folder Protocol")
    return pairs


def _read_cfp_list(path: str) -> Dict[int, str]:
    """Read the images' paths, relative to CFP's Data/Images, by number."""
    paths = {}
    for number, line in read_lines(path):
        words = line.split(None, 1)
        image = words[1].replace("\\", "/") if len(words) == 2 else ""
        if not _is_number(words[0]) or "/" not in image:
            raise _bad_line(path, number, line, "a number and a path, such as 1 ../Data/Images/001/frontal/01.jpg")
        paths[int(words[0])] = image.rpartition("Images/")[2]
    return paths


def _read_list(path: str) -> List[ImagePair]:
    pairs = []
    for number, line in read_lines(path):
        words = [word.strip() for word in re.split(r"\t|,", line)] if re.search(r"[\t,]", line) else line.split()
        if len(words) != 3 or words[2] not in ("0", "1"):
            raise _bad_line(path, number, line, "path path 1 (same) or 0 (different)")
        pairs.append(ImagePair(words[0], words[1], words[2] == "1"))
    return _order_by_fold(pairs)


def _read_two_lines(path: str) -> List[ImagePair]:
    entries = []
    for number, line in read_lines(path):
        name, _, flag = line.replace("\t", " ").rpartition(" ")
        if not name or not _is_number(flag):
            raise _bad_line(path, number, line, "a file name and a number (0: different)")
        entries.append((number, line, name.strip(), flag != "0"))
    if len(entries) % 2:
        raise UserError(f"{path}: has {len(entries)} lines; two lines make a pair")
    pairs = []
    for (_, _, first, same), (number, line, second, second_same) in zip(entries[::2], entries[1::2]):
        if same != second_same:
            raise _bad_line(path, number, line, "the same flag as in the line before")
        pairs.append(ImagePair(first, second, same))
    return _order_by_fold(pairs)


def _read_ytf(path: str) -> List[ImagePair]:
    pairs: List[Tuple[int, ImagePair]] = []
    for number, line in read_lines(path):
        words = [word.strip() for word in line.split(",")]
        if not _is_number(words[0]) and not pairs:  # the heading
            continue
        videos, same = words[2:4], words[4:5]
        if not _is_number(words[0]) or not all("/" in video for video in videos) or same not in (["0"], ["1"]):
            raise _bad_line(path, number, line, "split, pair, identity/video, identity/video, 1 or 0")
        pairs.append((int(words[0]), ImagePair(videos[0], videos[1], same == ["1"])))
    return [pair for _, pair in sorted(pairs, key=lambda entry: entry[0])]


def _order_by_fold(pairs: List[ImagePair]) -> List[ImagePair]:
    """Order a list so that each tenth has a tenth of the same and of the different pairs.

    This is for lists without folds that have all same pairs first. A list in which each tenth has
    pairs of both kinds keeps its order.
    """
    same = np.asarray([pair.same for pair in pairs])
    if len(pairs) % FOLDS:
        return pairs
    shares = same.reshape(FOLDS, -1).mean(1)
    if 0 < shares.min() and shares.max() < 1:
        return pairs
    parts = [np.array_split(np.flatnonzero(same == kind), FOLDS) for kind in (True, False)]
    return [pairs[k] for fold in range(FOLDS) for part in parts for k in part[fold]]


READERS: Dict[str, Callable[[str], List[ImagePair]]] = {
    "lfw": _read_lfw,
    "cfp-fp": partial(_read_cfp, "P"),
    "cfp-ff": partial(_read_cfp, "F"),
    "list": _read_list,
    "two-lines": _read_two_lines,
    "ytf": _read_ytf,
}
