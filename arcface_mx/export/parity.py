"""Whether an exported form computes what the network computes, judged on images."""

from __future__ import annotations

from typing import Iterable, List

import numpy as np

from arcface_mx.data.bins.read import read_pairs
from arcface_mx.data.image_files import image_paths
from arcface_mx.data.images import decode_rgb
from arcface_mx.metrics.similarity import unit_vectors
from arcface_mx.model.embedder import resize_to_input
from arcface_mx.model.engines import OnnxEngine
from arcface_mx.model.graph import Size
from arcface_mx.util.errors import UserError
from arcface_mx.verify.images import evenly_spread, is_face_set, labelled_images, load_images

TOLERANCE = 1e-4  # largest difference between elements of unit embeddings
NUM_IMAGES = 32


def check_images(source: str, size: Size, limit: int = NUM_IMAGES) -> List[np.ndarray]:
    """Read at most `limit` images (H, W, 3), uint8, RGB, spread evenly over a source.

    The source is a .bin file, a face set, a folder or a list; `size` is (H, W) of the network's
    input. Raises UserError if the source or an image cannot be read.
    """
    if source.endswith(".bin"):
        pairs = read_pairs(source)
        wanted = set(evenly_spread(pairs.num_images, limit).tolist())
        encoded = (image for number, image in enumerate(pairs.images()) if number in wanted)
        images: Iterable[np.ndarray] = map(decode_rgb, encoded)
    elif is_face_set(source):
        images, _ = labelled_images(source, limit)
    else:
        paths = image_paths(source)
        images = load_images([paths[row] for row in evenly_spread(len(paths), limit)])
    try:
        return [resize_to_input(image, size) for image in images]
    except ValueError as error:
        raise UserError(f"`images` {source}: {error}") from error


def onnx_embeddings(data: bytes, images: np.ndarray, batch_size: int) -> np.ndarray:
    """Return embeddings (n, d) of images (n, 3, H, W), float32, by the ONNX file `data`."""
    engine = OnnxEngine(data, "ONNX model")
    batches = [images[start : start + batch_size] for start in range(0, len(images), batch_size)]
    return np.concatenate([engine.start(batch, batch_size)() for batch in batches])


def parity(expected: np.ndarray, embeddings: np.ndarray, form: str) -> float:
    """Return the largest difference between elements of unit embeddings, both (n, d).

    Raises UserError if it exceeds TOLERANCE; the message calls the exported form `form`.
    """
    if expected.shape != embeddings.shape:
        raise UserError(
            f"{form}: its embeddings have shape {embeddings.shape}, the network's have {expected.shape}; "
            "nothing was written"
        )
    difference = float(np.abs(unit_vectors(expected) - unit_vectors(embeddings, form)).max())
    if not difference <= TOLERANCE:
        raise UserError(
            f"{form}: its unit embeddings differ from the network's by up to {difference:.1e} "
            f"(at most {TOLERANCE:.0e} is allowed) on {len(expected)} images; nothing was written"
        )
    return difference
