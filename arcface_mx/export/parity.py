"""Does an exported form compute what the network computes? Judged on photos, and refused if not."""

from __future__ import annotations

from typing import Iterable, List

import numpy as np

from arcface_mx.data.bins.read import read_pairs
from arcface_mx.data.image_files import image_paths
from arcface_mx.data.images import decode_rgb
from arcface_mx.metrics.similarity import unit_vectors
from arcface_mx.model.embedder import fit
from arcface_mx.model.graph import Size
from arcface_mx.util.errors import UserError
from arcface_mx.verify.images import is_face_set, labelled_images, load_images

TOLERANCE = 1e-4  # largest difference between elements of unit embeddings
PHOTOS = 32


def check_photos(source: str, size: Size, most: int = PHOTOS) -> List[np.ndarray]:
    """At most `most` photos, spread over a .bin, a face set, a folder or a list; uint8 (H, W, 3) of the network's size.

    Raises UserError naming what cannot be read.
    """
    if source.endswith(".bin"):
        pairs = read_pairs(source)
        wanted = set(np.linspace(0, pairs.num_images - 1, most).astype(int).tolist())
        photos: Iterable[np.ndarray] = (
            decode_rgb(image) for number, image in enumerate(pairs.images()) if number in wanted
        )
    elif is_face_set(source):
        photos, _ = labelled_images(source, most)
    else:
        paths = image_paths(source)
        photos = load_images(paths[:: -(-len(paths) // most)])
    try:
        return [fit(photo, size) for photo in photos]
    except ValueError as error:
        raise UserError(f"--photos {source}: {error}") from error


def difference(expected: np.ndarray, found: np.ndarray, what: str) -> float:
    """Largest difference between elements of unit embeddings. Raises UserError when it is over TOLERANCE."""
    if expected.shape != found.shape:
        raise UserError(
            f"{what}: embeddings of shape {found.shape}, the network gives {expected.shape}; nothing written"
        )
    worst = float(np.abs(unit_vectors(expected) - unit_vectors(found, what)).max())
    if not worst <= TOLERANCE:
        raise UserError(
            f"{what}: its unit embeddings differ from the network's by up to {worst:.1e} (allowed {TOLERANCE:.0e}) on {len(expected)} photos; nothing written"
        )
    return worst
