"""Records → photos: the reverse of `pack`, and a way to look at a set."""

from __future__ import annotations

import os
import re
from typing import Any, Dict, Optional

import numpy as np

from arcface_mx.data.bins.read import read_pairs
from arcface_mx.data.recordio.index import RecordIndex
from arcface_mx.util.errors import UserError
from arcface_mx.util.files import atomic_directory
from arcface_mx.util.progress import progress

NAMES = "names.txt"


def unpack_set(source: str, folder: str) -> Dict[str, Any]:
    """Write the images of a face set or a .bin file into the new folder `folder`, bytes unchanged.

    A face set gives one sub-folder an identity, called as in names.txt beside it or by the label
    (0000000…), and files called by record number. A .bin gives its distinct images and pairs.txt
    ("first<TAB>second<TAB>0 or 1", in the order of the pairs).
    """
    if os.path.exists(folder):
        raise UserError(f"{folder}: already there; give another folder or delete it")
    if source.endswith(".bin"):
        return _unpack_pairs(source, folder)
    index = RecordIndex.open(source)
    names = read_names(os.path.join(os.path.dirname(index.path), NAMES))
    digits = len(str(int(index.numbers[-1])))
    with atomic_directory(folder) as temporary:
        for label in np.unique(index.labels):
            os.mkdir(os.path.join(temporary, _name(names, int(label))))
        for number, label, image in progress(index.images(), "unpacking", "images", total=len(index)):
            place = os.path.join(temporary, _name(names, label), "%0*d%s" % (digits, number, suffix(image)))
            with open(place, "wb") as stream:
                stream.write(image)
    return {"images": len(index), "identities": index.num_classes}


def _unpack_pairs(source: str, folder: str) -> Dict[str, Any]:
    pairs = read_pairs(source)
    with atomic_directory(folder) as temporary:
        names = []
        for number, image in enumerate(progress(pairs.images(), "unpacking", "images", total=pairs.num_images)):
            names.append(f"{number:06d}{suffix(image)}")
            with open(os.path.join(temporary, names[-1]), "wb") as stream:
                stream.write(image)
        with open(os.path.join(temporary, "pairs.txt"), "w", encoding="utf-8") as text:
            for left, right, same in zip(pairs.left, pairs.right, pairs.same):
                text.write(f"{names[left]}\t{names[right]}\t{int(same)}\n")
    return {"images": pairs.num_images, "pairs": len(pairs)}


def read_names(path: str) -> Optional[Dict[int, str]]:
    """{label: identity's name} of a names.txt ("label<TAB>name<TAB>photos"); None where there is none.

    Raises UserError where a line is no such line, or a name could not be a folder's.
    """
    if not os.path.exists(path):
        return None
    names: Dict[int, str] = {}
    with open(path, encoding="utf-8", errors="replace") as stream:
        for number, line in enumerate(stream, 1):
            words = line.rstrip("\r\n").split("\t")
            good = (
                len(words) >= 2
                and re.fullmatch(r"[0-9]{1,9}", words[0])
                and "\ufffd" not in words[1]
                and words[1] not in ("", ".", "..")
                and "\0" not in words[1]
            )
            if not good or os.path.basename(words[1]) != words[1]:
                raise UserError(f'{path}: line {number}: expected "label<TAB>name"; names are folder names')
            names[int(words[0])] = words[1]
    if len(set(names.values())) != len(names):
        raise UserError(f"{path}: two labels have one name; correct it or remove the file")
    return names


def _name(names: Optional[Dict[int, str]], label: int) -> str:
    return names[label] if names is not None and label in names else f"{label:07d}"


def suffix(image: bytes) -> str:
    """The file suffix of an encoded image, by its first bytes."""
    starts = ((b"\xff\xd8", ".jpg"), (b"\x89PNG", ".png"), (b"BM", ".bmp"), (b"RIFF", ".webp"))
    return next((end for start, end in starts if image.startswith(start)), ".img")
