"""Find the image files of a folder or of a list file, grouped by identity where needed."""

from __future__ import annotations

import os
import re
from typing import Dict, Iterator, List, NamedTuple, Optional, Tuple

from arcface_mx.util.errors import UserError

READ = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".pgm", ".ppm")
# Images of other kinds are listed too, so that they are refused by name and not passed over in silence.
UNREAD = tuple(".heic .heif .avif .gif .tif .tiff .jp2 .j2k .jxl .dng .cr2 .cr3 .nef .arw .orf .raf .rw2".split())
SUFFIXES = READ + UNREAD
ALIGN_TABLE = "align.csv"  # what `data align` writes beside its crops


class IdentityImages(NamedTuple):
    """Image files grouped by identity."""

    names: List[str]  # of the identities, in the order of their labels
    paths: List[List[str]]  # of the images of each identity, sorted
    skipped: List[str]  # files whose suffix is not that of an image, or that are in no sub-folder


def images_by_identity(source: str, root: Optional[str] = None) -> IdentityImages:
    """Group the image files of a folder or of a list file by identity.

    Parameters
    ----------
    source : str
        A folder with one sub-folder per identity, or a text file with one image per line: ``path
        identity`` (separated by a tab if names contain spaces), ``number<TAB>label<TAB>path`` (an
        ``.lst`` file of im2rec) or ``aligned<TAB>path<TAB>label`` (one of InsightFace).
    root : str, optional
        Folder that the paths of a list are relative to. The default is the folder of the list.

    Returns
    -------
    IdentityImages
        Identities and images are sorted by name, with numbers in names compared as numbers, so that
        the order is the same on every machine.

    Raises
    ------
    UserError
        If there is no image, if a line of the list has another form, or if an image does not exist.
    """
    if os.path.isfile(source):
        groups, skipped = _group_list(source, root)
    elif os.path.isdir(source):
        groups, skipped = _group_folder(source)
    else:
        raise UserError(f"{source}: no such file or folder; give a folder with one sub-folder per identity, or a list")
    names = sorted(groups, key=natural_key)
    return IdentityImages(names, [sorted(groups[name], key=natural_key) for name in names], skipped)


def image_paths(source: str, root: Optional[str] = None) -> List[str]:
    """Return the paths of all images below a folder or in a list, or of the one image `source`.

    The paths of a list are relative to `root` or, by default, to the folder of the list. Raises
    UserError if there is no image, or if an image of the list does not exist.
    """
    if os.path.isdir(source):
        return [os.path.join(source, path) for path in list_images(source)]
    return [source] if is_image_name(source) and os.path.isfile(source) else read_image_list(source, 0, root)[0]


def list_images(folder: str) -> List[str]:
    """Return the sorted paths, relative to `folder`, of all images in it and in its sub-folders."""
    if not os.path.isdir(folder):
        raise UserError(f"{folder}: no such folder; give a folder with images")
    images = sorted(filter(is_image_name, _files_below(folder)), key=natural_key)
    if not images:
        raise UserError(f"{folder}: contains no image ({' '.join(READ)})")
    return images


def other_files(folder: str) -> List[str]:
    """Return the sorted paths, relative to `folder`, of all files below it whose suffix is not that of an image."""
    return sorted(path for path in _files_below(folder) if not is_image_name(path))


def read_image_list(path: str, num_words: int, root: Optional[str] = None) -> Tuple[List[str], List[List[str]]]:
    """Return the image paths of a list, and the `num_words` words after each image.

    The name of an image may contain spaces. Raises UserError if a line has too few words, or if an
    image does not exist.
    """
    paths: List[str] = []
    words: List[List[str]] = []
    for number, line in read_lines(path):
        parts = line.rsplit(None, num_words) if num_words else [line]
        if len(parts) != num_words + 1:
            raise UserError(f"{path}: line {number} is {line[:60]!r}; it must be an image and {num_words} words")
        paths.append(_existing_image(path, number, parts[0], root))
        words.append(parts[1:])
    return paths, words


def read_lines(path: str) -> List[Tuple[int, str]]:
    """Return number and stripped text of each line that is neither empty nor a ``#`` comment.

    Raises UserError if the file cannot be read, is not UTF-8 text, or has no such line.
    """
    try:
        with open(path, encoding="utf-8-sig") as stream:
            lines = [(number, line.strip()) for number, line in enumerate(stream, 1)]
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: is not a text file (UTF-8)") from error
    lines = [(number, line) for number, line in lines if line and not line.startswith("#")]
    if not lines:
        raise UserError(f"{path}: is empty")
    return lines


def is_image_name(name: str) -> bool:
    """Return whether the suffix of a file name is that of an image."""
    return name.lower().endswith(SUFFIXES)


def _group_folder(folder: str) -> Tuple[Dict[str, List[str]], List[str]]:
    groups: Dict[str, List[str]] = {}
    skipped = []
    for path in sorted(_files_below(folder)):
        identity, _, name = path.partition(os.sep)
        if name and is_image_name(name):
            groups.setdefault(identity, []).append(os.path.join(folder, path))
        elif path != ALIGN_TABLE:
            skipped.append(os.path.join(folder, path))
    if not groups:
        raise UserError(
            f"{folder}: no sub-folder contains an image ({' '.join(READ)}); put the images of each identity "
            "into one sub-folder"
        )
    return groups, skipped


def _files_below(folder: str) -> Iterator[str]:
    """Yield the paths, relative to `folder`, of all files at any depth that are not hidden.

    Each folder is visited once, even if links lead to it or in a circle.
    """
    visited = {_identity(folder)}
    for place, folders, names in os.walk(folder, followlinks=True):
        chosen = []
        # A folder comes before the links to it, so that it is visited under its own name.
        for name in sorted(folders, key=lambda name: (os.path.islink(os.path.join(place, name)), name)):
            identity = _identity(os.path.join(place, name))
            if not name.startswith(".") and identity not in visited:
                visited.add(identity)
                chosen.append(name)
        folders[:] = chosen
        inside = os.path.relpath(place, folder)
        for name in names:
            if not name.startswith("."):
                yield os.path.normpath(os.path.join(inside, name))


def _identity(folder: str) -> Tuple[int, int]:
    """What tells a folder from all others, whatever its path is."""
    state = os.stat(folder)
    return state.st_dev, state.st_ino


def _group_list(path: str, root: Optional[str]) -> Tuple[Dict[str, List[str]], List[str]]:
    groups: Dict[str, List[str]] = {}
    for number, line in read_lines(path):
        image, identity = _split_line(line)
        if not image:
            raise UserError(f'{path}: line {number}: expected "path<TAB>identity"')
        groups.setdefault(identity, []).append(_existing_image(path, number, image, root))
    return groups, []


def _split_line(line: str) -> Tuple[str, str]:
    """Return image and identity of a line of a list; empty strings if the line has another form."""
    words = [word.strip() for word in (line.split("\t") if "\t" in line else line.rsplit(None, 1))]
    if len(words) == 2 and all(words):
        return words[0], words[1]
    if len(words) >= 3 and words[0].isdecimal():
        for image, label in ((words[-1], words[1]), (words[1], words[2])):  # im2rec, InsightFace
            if is_image_name(image):
                return image, re.sub(r"\.0+$", "", label)  # im2rec writes labels as 3.000000
    return "", ""


def _existing_image(path: str, number: int, image: str, root: Optional[str]) -> str:
    place = os.path.join(root or os.path.dirname(path), image)
    if not os.path.isfile(place):
        raise UserError(f"{path}: line {number}: there is no file {place}")
    return place


def natural_key(name: str) -> List[Tuple[int, int, str]]:
    """Sorting key that puts s2 before s10."""
    return [(0, int(part), part) if part.isdecimal() else (1, 0, part) for part in re.split(r"([0-9]+)", name)]
