"""Aligned images named by folders, list files or face sets, and their embeddings.

`data/image_files.py` describes folders and lists. A protocol needs words beside the images: an
identity, or a template and a medium.
"""

from __future__ import annotations

import os
from typing import Dict, Iterable, Iterator, List, Optional, Sequence, Tuple

import numpy as np

from arcface_mx.data.image_files import image_paths, images_by_identity, is_image_name, read_image_list
from arcface_mx.data.images import decode_rgb, read_image_file
from arcface_mx.data.recordio.index import RecordIndex
from arcface_mx.model.embedder import Embedder, Image
from arcface_mx.util.errors import UserError
from arcface_mx.util.progress import progress


def read_identities(source: str, folder: Optional[str] = None) -> Tuple[List[str], List[str]]:
    """Read the paths and identities of a folder of identities, or of a list "image identity".

    Paths of a list are relative to `folder`, or to the list's own folder.
    """
    images = images_by_identity(source, folder)
    loose = [path for path in images.skipped if is_image_name(path)]
    if loose:
        raise UserError(f"{loose[0]}: the image is not in the folder of an identity; make one folder an identity")
    pairs = [(path, name) for name, paths in zip(images.names, images.paths) for path in paths]
    return [path for path, _ in pairs], [name for _, name in pairs]


def read_templates(source: str, folder: Optional[str] = None) -> Tuple[List[str], List[str], Optional[List[str]]]:
    """Read the paths, templates and media of a list "image template medium" (IJB), or of a folder.

    In a folder every sub-folder with images is a template, named by its path with "/" (YTF's
    identity/video). Its images count alike, and the media are None.
    """
    if not os.path.isdir(source):
        paths, words = read_image_list(source, 2, folder)
        return paths, [template for template, _ in words], [medium for _, medium in words]
    paths = image_paths(source)
    return paths, [os.path.relpath(os.path.dirname(path), source).replace(os.sep, "/") for path in paths], None


def is_face_set(source: str) -> bool:
    """Whether it is a folder with train.rec, or a .rec file."""
    return os.path.exists(os.path.join(source, "train.rec")) or source.endswith(".rec")


def labelled_images(source: str, limit: Optional[int] = None) -> Tuple[Iterable[np.ndarray], np.ndarray]:
    """Images (uint8 RGB, streamed) and identities (0, 1, …) of a face set or folder of identities.

    At most `limit` images are taken, spread evenly over the set.
    """
    if is_face_set(source):
        index = RecordIndex.open(source)
        order, _ = index.groups()
        chosen = order[evenly_spread(len(order), limit)]
        labels = index.labels[chosen]
        images: Iterable[np.ndarray] = (decode_rgb(image) for _, _, image in index.images(chosen))
    else:
        paths, names = read_identities(source)
        rows = evenly_spread(len(paths), limit)
        labels, images = np.asarray(names)[rows], load_images([paths[row] for row in rows])
    return images, np.unique(labels, return_inverse=True)[1]


def evenly_spread(count: int, limit: Optional[int]) -> np.ndarray:
    """At most `limit` of the numbers 0…count−1, evenly spread; None or 0 takes all."""
    if not limit or count <= limit:
        return np.arange(count)
    return np.linspace(0, count - 1, limit).round().astype(np.int64)


def load_images(paths: Sequence[str]) -> Iterator[np.ndarray]:
    """Decode image files to uint8 (height, width, 3) RGB; UserError names an unreadable file."""
    for path in paths:
        try:
            yield decode_rgb(read_image_file(path))
        except ValueError as error:
            raise UserError(f"{path}: {error}") from error


def embed_images(
    embedder: Embedder, paths: Sequence[str], caption: str, batch_size: Optional[int] = None, flip: str = "none"
) -> np.ndarray:
    """Embeddings (n, d) of image files; `caption` stands beside the progress bar."""
    return embedder.embed(progress(load_images(paths), caption, "image", len(paths)), batch_size, flip == "sum")


def embed_flips(
    embedder: Embedder, images: Iterable[Image], batch_size: Optional[int] = None, flip_test: bool = True
) -> Dict[str, np.ndarray]:
    """Embeddings (n, d) by flip test: "none" and, with `flip_test`, also "sum"."""
    if not flip_test:
        return {"none": embedder.embed(images, batch_size)}
    plain, flipped = embedder.embed_with_flip(images, batch_size)
    return {"none": plain, "sum": plain + flipped}
