"""Which photos, and whose: a folder with a sub-folder an identity, or a list file."""

from __future__ import annotations

import os
import re
from typing import Dict, List, NamedTuple, Optional, Tuple

from arcface_mx.data.protocols.list_file import existing_photo, read_lines, read_words
from arcface_mx.util.errors import UserError

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".pgm", ".ppm", ".tif", ".tiff", ".webp")


class Photos(NamedTuple):
    """Identities in the order of their labels, each with its photos' paths in the order of their names."""

    names: List[str]
    paths: List[List[str]]
    skipped: List[str]  # files that are no photos by their names


def find_photos(source: str, images: Optional[str] = None) -> Photos:
    """Photos of a folder of identities, or of a list file (see `_read_list`).

    images: where a list's photos are; None: beside the list. Identities and photos are sorted by name, numbers in names as numbers, so that the order is the
    same on every machine. Hidden files are passed over. Raises UserError where there is no photo.
    """
    if os.path.isfile(source):
        return _read_list(source, images)
    if not os.path.isdir(source):
        raise UserError(f"{source}: no such file or folder; give a folder with one sub-folder an identity, or a list")
    names, paths, skipped = [], [], []
    for name in sorted(os.listdir(source), key=natural):
        place = os.path.join(source, name)
        if name.startswith("."):
            continue
        if not os.path.isdir(place):
            skipped.append(place)
            continue
        photos, others = _photos_in(place)
        skipped += others
        if photos:
            names.append(name)
            paths.append(photos)
    if not names:
        raise UserError(
            f"{source}: no sub-folder holds a photo ({' '.join(SUFFIXES)}); the photos of an identity stand in one sub-folder"
        )
    return Photos(names, paths, skipped)


def _read_list(path: str, images: Optional[str]) -> Photos:
    """Photos of a text file with a line a photo: "path identity" (or with a tab between, then names
    may hold spaces), or an .lst file of im2rec ("number<TAB>label<TAB>path") or of InsightFace
    ("aligned<TAB>path<TAB>label"). Identities are sorted as in a folder. Raises UserError naming the line.
    """
    found: Dict[str, List[str]] = {}
    for number, line in read_lines(path):
        photo, identity = _entry(line)
        if not photo:
            raise UserError(f'{path}: line {number}: expected "path<TAB>identity"')
        found.setdefault(identity, []).append(existing_photo(path, number, photo, images))
    names = sorted(found, key=natural)
    return Photos(names, [sorted(found[name], key=natural) for name in names], [])


def _entry(line: str) -> Tuple[str, str]:
    words = [word.strip() for word in (line.split("\t") if "\t" in line else line.rsplit(None, 1))]
    if len(words) == 2 and all(words):
        return words[0], words[1]
    if len(words) >= 3 and words[0].isdecimal():
        # im2rec: number, label, path; InsightFace: aligned (0 or 1), path, label.
        if _is_photo(words[-1]):
            return words[-1], _whole(words[1])
        if _is_photo(words[1]):
            return words[1], _whole(words[2])
    return "", ""


def _whole(label: str) -> str:
    """im2rec writes labels as 3.000000."""
    return re.sub(r"\.0+$", "", label)


def _photos_in(folder: str) -> Tuple[List[str], List[str]]:
    photos: List[str] = []
    others: List[str] = []
    for place, folders, files in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            if not name.startswith("."):
                (photos if _is_photo(name) else others).append(os.path.join(place, name))
    return sorted(photos, key=natural), sorted(others)


def photos_below(folder: str) -> List[str]:
    """Paths below `folder` of all photos in it and its sub-folders, sorted. Raises UserError where there is none."""
    if not os.path.isdir(folder):
        raise UserError(f"{folder}: no such folder; give a folder with photos")
    found = [os.path.relpath(path, folder) for path in _photos_in(folder)[0]]
    if not found:
        raise UserError(f"{folder}: holds no photo ({' '.join(SUFFIXES)})")
    return found


def photo_paths(source: str, images: Optional[str] = None) -> List[str]:
    """All photos of a folder, at any depth, or of a list with one photo a line; or the one photo itself.

    Raises UserError where there is none.
    """
    if os.path.isdir(source):
        return [os.path.join(source, photo) for photo in photos_below(source)]
    return [source] if _is_photo(source) and os.path.isfile(source) else read_words(source, 0, images)[0]


def _is_photo(name: str) -> bool:
    return name.lower().endswith(SUFFIXES)


def natural(name: str) -> List[Tuple[int, int, str]]:
    """Sorting key under which s2 comes before s10."""
    return [(0, int(part), part) if part.isdecimal() else (1, 0, part) for part in re.split(r"([0-9]+)", name)]
