"""Write the images of a face set or of a verification set as files: the reverse of packing."""

from __future__ import annotations

import os
import re
from typing import Any, Dict

import numpy as np

from arcface_mx.data.bins.read import read_pairs
from arcface_mx.data.recordio.index import RecordIndex
from arcface_mx.util.errors import UserError
from arcface_mx.util.files import atomic_directory, refuse_existing
from arcface_mx.util.progress import progress

SIGNATURES = ((b"\xff\xd8", ".jpg"), (b"\x89PNG", ".png"), (b"BM", ".bmp"), (b"RIFF", ".webp"))


def unpack_images(source: str, folder: str) -> Dict[str, Any]:
    """Write the images of a face set or of a ``.bin`` file, with unchanged bytes, as files.

    Parameters
    ----------
    source : str
        A folder with a face set, a ``.rec`` file or a ``.bin`` file.
    folder : str
        The new folder. It appears when it is complete.

    Returns
    -------
    dict
        Number of images, and of identities or pairs.

    Raises
    ------
    UserError
        If the folder exists, or if the source cannot be read.

    Notes
    -----
    A face set gives one sub-folder per identity. It is named as in the ``names.txt`` beside the set
    or, if there is no such file, after the label (``0000000``). Its files are named by their record
    numbers. A ``.bin`` file gives each distinct image once, and ``pairs.txt`` with a line
    ``first<TAB>second<TAB>0 or 1`` for each pair.
    """
    refuse_existing(folder)
    if source.endswith(".bin"):
        return _unpack_pairs(source, folder)
    index = RecordIndex.open(source)
    names = {int(label): f"{label:07d}" for label in np.unique(index.labels)}
    names.update(read_names(os.path.join(os.path.dirname(index.path), "names.txt")))
    digits = len(str(int(index.numbers[-1])))
    with atomic_directory(folder) as temporary:
        for label in np.unique(index.labels):
            os.mkdir(os.path.join(temporary, names[int(label)]))
        for number, label, image in progress(index.images(), "unpacking", "images", total=len(index)):
            _write(os.path.join(temporary, names[label], f"{number:0{digits}d}{suffix(image)}"), image)
    return {"images": len(index), "identities": index.num_classes}


def read_names(path: str) -> Dict[int, str]:
    """Read the identities' names by label from ``names.txt``; empty if there is no such file.

    Raises UserError if a line is not ``label<TAB>name``, or if a name cannot be that of a folder.
    """
    if not os.path.exists(path):
        return {}
    names: Dict[int, str] = {}
    with open(path, encoding="utf-8", errors="replace") as stream:
        for number, line in enumerate(stream, 1):
            label, _, rest = line.rstrip("\r\n").partition("\t")
            name = rest.split("\t")[0]
            if not re.fullmatch(r"[0-9]{1,9}", label) or not _is_folder_name(name):
                raise UserError(
                    f'{path}: line {number}: expected "label<TAB>name", where the name can be the name of a folder'
                )
            names[int(label)] = name
    if len(set(names.values())) != len(names):
        raise UserError(f"{path}: two labels have the same name; correct it or delete the file")
    return names


def suffix(image: bytes) -> str:
    """Return the file suffix of an encoded image, according to its first bytes."""
    return next((end for start, end in SIGNATURES if image.startswith(start)), ".img")


def _is_folder_name(name: str) -> bool:
    # U+FFFD stands for bytes that are not UTF-8.
    return name not in ("", ".", "..") and os.path.basename(name) == name and not set(name) & {"\0", "\ufffd"}


def _unpack_pairs(source: str, folder: str) -> Dict[str, Any]:
    pairs = read_pairs(source)
    with atomic_directory(folder) as temporary:
        names = []
        for number, image in enumerate(progress(pairs.images(), "unpacking", "images", total=pairs.num_images)):
            names.append(f"{number:06d}{suffix(image)}")
            _write(os.path.join(temporary, names[-1]), image)
        with open(os.path.join(temporary, "pairs.txt"), "w", encoding="utf-8") as stream:
            for left, right, same in zip(pairs.left, pairs.right, pairs.same):
                stream.write(f"{names[left]}\t{names[right]}\t{int(same)}\n")
    return {"images": pairs.num_images, "pairs": len(pairs)}


def _write(path: str, image: bytes) -> None:
    with open(path, "wb") as stream:
        stream.write(image)
