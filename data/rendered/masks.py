"""Masks on aligned crops, for asking which part of a photo a model reads.

hidden = hide(images, inner_face())     # everything but the inner face is left
hidden = hide(images, ~inner_face())    # the inner face alone is left
"""

from __future__ import annotations

import numpy as np

from arcface_mx.data.rendered.pose import SIDE

# Brows to chin and cheek to cheek on a frontal crop, pixels.
CENTRE, HALF_WIDTH, HALF_HEIGHT = (56.0, 73.0), 33.0, 41.0
TOP_ROWS, SIDE_COLUMNS, SIDE_ROWS = 8, 6, (30, 80)  # the background's strips
FILL = 128  # grey level of hidden pixels: about 0 after (x − 127.5) / 128


def inner_face() -> np.ndarray:
    """True on brows, eyes, nose, mouth, cheeks and chin, (112, 112) bool."""
    y, x = np.mgrid[:SIDE, :SIDE]
    return ((x - CENTRE[0]) / HALF_WIDTH) ** 2 + ((y - CENTRE[1]) / HALF_HEIGHT) ** 2 <= 1


def hide(images: np.ndarray, where: np.ndarray) -> np.ndarray:
    """images (N, 112, 112, 3) uint8 with the pixels of `where` (112, 112) set to grey."""
    return np.where(where[None, :, :, None], np.uint8(FILL), images)


def background_means(images: np.ndarray) -> np.ndarray:
    """Mean and deviation of RGB in strips along the upper edge and both sides, (N, 18)."""
    rows = slice(*SIDE_ROWS)
    strips = (images[:, :TOP_ROWS], images[:, rows, :SIDE_COLUMNS], images[:, rows, -SIDE_COLUMNS:])
    scaled = [strip.astype(np.float32) / 255 for strip in strips]
    return np.concatenate([f(strip, axis=(1, 2)) for strip in scaled for f in (np.mean, np.std)], 1)


def face_colour(images: np.ndarray) -> np.ndarray:
    """Logarithm of the mean RGB of the middle of the face, (N, 3)."""
    return np.log(images[:, 40:90, 30:82].astype(np.float32).mean((1, 2)) / 255 + 0.02)
