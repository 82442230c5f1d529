"""Aligned photos named by folders or list files, and their embeddings.

A folder of identities holds one sub-folder a person. A list file has one photo a line, then the
words that the protocol needs (identity; or template and medium), separated by spaces or tabs; paths
are relative to the list's folder, or to --images.
"""

from __future__ import annotations

import os
from typing import Iterator, List, Optional, Sequence, Tuple

import numpy as np

from arcface_mx.data.bins import decode_rgb
from arcface_mx.errors import UserError
from arcface_mx.model.embedder import BATCH_SIZE, Embedder
from arcface_mx.progress import progress

EXTENSIONS = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".ppm", ".pgm", ".tif", ".tiff")


def read_identities(source: str, images: Optional[str] = None) -> Tuple[List[str], List[str]]:
    """(paths, identities) of a folder of identities or a list "photo identity". Raises UserError when there is none."""
    if not os.path.isdir(source):
        paths, words = read_list(source, 1, images)
        return paths, [word for word, in words]
    paths = find_photos(source)
    identities = [os.path.relpath(path, source).split(os.sep) for path in paths]
    loose = [path for path, parts in zip(paths, identities) if len(parts) < 2]
    if loose:
        raise UserError("%s: stands in no identity's folder; make one folder a person" % loose[0])
    return paths, [parts[0] for parts in identities]


def read_photos(source: str, images: Optional[str] = None) -> List[str]:
    """Paths of all photos in a folder, at any depth, or of a list with one photo a line."""
    return find_photos(source) if os.path.isdir(source) else read_list(source, 0, images)[0]


def read_templates(source: str, images: Optional[str] = None) -> Tuple[List[str], List[str], Optional[List[str]]]:
    """(paths, templates, media) of a list "photo template medium" (IJB's), or of a folder.

    In a folder every folder that holds photos is a template, named by its path with "/" (YTF's
    person/video); its photos count alike, and media is None.
    """
    if not os.path.isdir(source):
        paths, words = read_list(source, 2, images)
        return paths, [template for template, _ in words], [medium for _, medium in words]
    paths = find_photos(source)
    folders = [os.path.relpath(os.path.dirname(path), source).replace(os.sep, "/") for path in paths]
    return paths, folders, None


def read_template_pairs(path: str) -> Tuple[List[str], List[str], np.ndarray]:
    """(first, second, same) of a list "template template 1-or-0". Raises UserError naming the line."""
    first, second, same = [], [], []
    for number, line in _lines(path):
        words = line.split()
        if len(words) != 3 or words[2] not in ("0", "1"):
            raise UserError("%s: line %d is %r; it must be: template template 1 (same) or 0" % (path, number, line[:60]))
        first.append(words[0])
        second.append(words[1])
        same.append(words[2] == "1")
    return first, second, np.asarray(same, bool)


def read_list(path: str, count: int, images: Optional[str] = None) -> Tuple[List[str], List[List[str]]]:
    """(photo paths, `count` words after each) of a list file. A photo's name may hold spaces.

    Raises UserError naming the line that is too short or whose photo is missing.
    """
    folder = images or os.path.dirname(path)
    paths: List[str] = []
    words: List[List[str]] = []
    for number, line in _lines(path):
        parts = line.rsplit(None, count) if count else [line]
        if len(parts) != count + 1:
            raise UserError("%s: line %d is %r; it must be a photo and %d words" % (path, number, line[:60], count))
        photo = os.path.join(folder, parts[0])
        if not os.path.isfile(photo):
            raise UserError("%s: line %d: there is no photo %s" % (path, number, photo))
        paths.append(photo)
        words.append(parts[1:])
    return paths, words


def _lines(path: str) -> Iterator[Tuple[int, str]]:
    """(line number from 1, stripped text) of lines that are not empty. Raises UserError when there is none."""
    try:
        with open(path, encoding="utf-8") as stream:
            lines = [(number, line.strip()) for number, line in enumerate(stream, 1)]
    except OSError as error:
        raise UserError("%s: cannot be read: %s" % (path, error.strerror)) from error
    except UnicodeDecodeError as error:
        raise UserError("%s: is no text file (UTF-8)" % path) from error
    filled = [(number, line) for number, line in lines if line]
    if not filled:
        raise UserError("%s: is empty" % path)
    return iter(filled)


def find_photos(folder: str) -> List[str]:
    """All photos below a folder, sorted by path. Raises UserError when there is none."""
    found = []
    for place, folders, names in os.walk(folder):
        folders.sort()
        found += [os.path.join(place, name) for name in names if name.lower().endswith(EXTENSIONS)]
    if not found:
        raise UserError("%s: holds no photos (%s)" % (folder, ", ".join(EXTENSIONS)))
    return sorted(found)


def load_photos(paths: Sequence[str]) -> Iterator[np.ndarray]:
    """The photos decoded: uint8 (height, width, 3) RGB. Raises UserError naming the file."""
    for path in paths:
        try:
            with open(path, "rb") as stream:
                yield decode_rgb(stream.read())
        except OSError as error:
            raise UserError("%s: cannot be read: %s" % (path, error.strerror)) from error
        except ValueError as error:
            raise UserError("%s: %s" % (path, error)) from error


def embed_photos(
    embedder: Embedder, paths: Sequence[str], what: str, batch_size: int = BATCH_SIZE, mirror: bool = False
) -> np.ndarray:
    """(n, d) embeddings of photo files; with mirror, image and mirror image added. what: for the progress bar."""
    return embedder.embed(progress(load_photos(paths), what, "image", len(paths)), batch_size, mirror)
