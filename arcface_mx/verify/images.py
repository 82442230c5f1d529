"""Aligned photos named by folders or list files (`data/pack/image_list.py`), and their embeddings.

Protocols need words beside the photos: an identity; or template and medium. Paths of a list are
relative to the list's folder, or to --images.
"""

from __future__ import annotations

import os
from typing import Iterator, List, Optional, Sequence, Tuple

import numpy as np

from arcface_mx.data.bins.bins import decode_rgb
from arcface_mx.data.pack.image_list import SUFFIXES, find_photos, photo_paths
from arcface_mx.data.protocols.list_file import read_lines, read_words
from arcface_mx.model.embedder import Embedder
from arcface_mx.util.errors import UserError
from arcface_mx.util.progress import progress


def read_identities(source: str, images: Optional[str] = None) -> Tuple[List[str], List[str]]:
    """(paths, identities) of a folder of identities or a list "photo identity".

    Raises UserError when there is none, or a photo stands in no identity's folder.
    """
    photos = find_photos(source, images)
    loose = [path for path in photos.skipped if path.lower().endswith(SUFFIXES)]
    if loose:
        raise UserError(f"{loose[0]}: stands in no identity's folder; make one folder a person")
    pairs = [(path, name) for name, paths in zip(photos.names, photos.paths) for path in paths]
    return [path for path, _ in pairs], [name for _, name in pairs]


def read_templates(source: str, images: Optional[str] = None) -> Tuple[List[str], List[str], Optional[List[str]]]:
    """(paths, templates, media) of a list "photo template medium" (IJB's), or of a folder.

    In a folder every folder that holds photos is a template, named by its path with "/" (YTF's
    person/video); its photos count alike, and media is None.
    """
    if not os.path.isdir(source):
        paths, words = read_words(source, 2, images)
        return paths, [template for template, _ in words], [medium for _, medium in words]
    paths = photo_paths(source)
    folders = [os.path.relpath(os.path.dirname(path), source).replace(os.sep, "/") for path in paths]
    return paths, folders, None


def read_template_pairs(path: str) -> Tuple[List[str], List[str], np.ndarray]:
    """(first, second, same) of a list "template template 1-or-0". Raises UserError naming the line."""
    first, second, same = [], [], []
    for number, line in read_lines(path):
        words = line.split()
        if len(words) != 3 or words[2] not in ("0", "1"):
            raise UserError(f"{path}: line {number} is {line[:60]!r}; it must be: template template 1 (same) or 0")
        first.append(words[0])
        second.append(words[1])
        same.append(words[2] == "1")
    return first, second, np.asarray(same, bool)


def load_photos(paths: Sequence[str]) -> Iterator[np.ndarray]:
    """The photos decoded: uint8 (height, width, 3) RGB. Raises UserError naming the file."""
    for path in paths:
        try:
            with open(path, "rb") as stream:
                yield decode_rgb(stream.read())
        except OSError as error:
            raise UserError(f"{path}: cannot be read: {error.strerror}") from error
        except ValueError as error:
            raise UserError(f"{path}: {error}") from error


def embed_photos(
    embedder: Embedder, paths: Sequence[str], what: str, batch_size: Optional[int] = None, flip: str = "none"
) -> np.ndarray:
    """(n, d) embeddings of photo files; flip "sum": image and mirror image added. what: for the progress bar."""
    return embedder.embed(progress(load_photos(paths), what, "image", len(paths)), batch_size, flip == "sum")
