"""Pictures that show a set: a contact sheet, and the mean face with the reference points on it."""

from __future__ import annotations

from typing import Iterable

import cv2
import numpy as np

from arcface_mx.data.align.transform import HEIGHT, reference_landmarks
from arcface_mx.data.images import decode_or_none
from arcface_mx.util.errors import UserError
from arcface_mx.util.files import atomic_write

COLUMNS, ROWS = 12, 12
QUALITY = 90
ZOOM = 4
COLOUR = (0, 255, 0)


def write_sheet(images: Iterable[bytes], path: str) -> None:
    """Write up to 12×12 encoded images side by side as one JPEG. Images that cannot be decoded are left out."""
    tiles = [pixels for pixels in map(decode_or_none, images) if pixels is not None][: COLUMNS * ROWS]
    if not tiles:
        raise UserError(f"{path}: there is no image to show")
    shape = tiles[0].shape
    tiles = [tile if tile.shape == shape else cv2.resize(tile, (shape[1], shape[0])) for tile in tiles]
    tiles += [np.zeros(shape, np.uint8)] * (-len(tiles) % COLUMNS if len(tiles) > COLUMNS else 0)
    rows = [np.hstack(tiles[start : start + COLUMNS]) for start in range(0, len(tiles), COLUMNS)]
    _write(path, cv2.imencode(".jpg", np.vstack(rows), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1])


def write_mean_face(mean: np.ndarray, path: str) -> None:
    """Write the mean image (height×width×3, RGB, 0…255) as PNG, four times as large.

    In an aligned set, eyes, nose and mouth corners lie in the circles.
    """
    height, width = mean.shape[:2]
    small = mean[:, :, ::-1].round().astype(np.uint8)
    large = cv2.resize(small, (ZOOM * width, ZOOM * height), interpolation=cv2.INTER_CUBIC)
    # Coordinates are of pixel centres: x in the crop is ZOOM·(x + ½) − ½ in the picture.
    points = reference_landmarks(width * HEIGHT // height) * (height / HEIGHT)
    for x, y in np.round(ZOOM * (points + 0.5) - 0.5).astype(int).tolist():
        cv2.circle(large, (x, y), 2 * ZOOM, COLOUR, 1, cv2.LINE_AA)
        cv2.circle(large, (x, y), 1, COLOUR, -1)
    _write(path, cv2.imencode(".png", large)[1])


def _write(path: str, encoded: np.ndarray) -> None:
    with atomic_write(path) as stream:
        stream.write(encoded.tobytes())
