"""Pictures that show a set: a contact sheet, and the mean face with the reference points on it."""

from __future__ import annotations

from typing import Iterable, Tuple

import cv2
import numpy as np

from arcface_mx.data.align.transform import HEIGHT, reference_landmarks
from arcface_mx.data.images import decode_or_none
from arcface_mx.util.errors import UserError
from arcface_mx.util.files import atomic_write

COLUMNS, ROWS = 12, 12
QUALITY = 90
CAPTION = 16  # pixels below an image for its name
FONT, FONT_SCALE = cv2.FONT_HERSHEY_SIMPLEX, 0.36
ZOOM = 4
COLOUR = (0, 255, 0)


def write_sheet(images: Iterable[Tuple[str, bytes]], path: str) -> None:
    """Write up to 12×12 named images side by side as one JPEG. Images that cannot be decoded are left out."""
    decoded = ((name, decode_or_none(image)) for name, image in images)
    tiles = [(name, pixels) for name, pixels in decoded if pixels is not None][: COLUMNS * ROWS]
    if not tiles:
        raise UserError(f"{path}: there is no image to show")
    height, width = tiles[0][1].shape[:2]
    cells = [np.vstack([cv2.resize(pixels, (width, height)), _caption(name, width)]) for name, pixels in tiles]
    cells += [np.zeros_like(cells[0])] * (-len(cells) % COLUMNS if len(cells) > COLUMNS else 0)
    rows = [np.hstack(cells[start : start + COLUMNS]) for start in range(0, len(cells), COLUMNS)]
    _write(path, cv2.imencode(".jpg", np.vstack(rows), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1])


def _caption(name: str, width: int) -> np.ndarray:
    """The end of a name in a strip below its image. OpenCV's letters are those of ASCII."""
    strip = np.zeros((CAPTION, width, 3), np.uint8)
    text = name.encode("ascii", "replace").decode()
    while len(text) > 3 and cv2.getTextSize(text, FONT, FONT_SCALE, 1)[0][0] > width - 4:
        text = ".." + text.lstrip(".")[1:]
    cv2.putText(strip, text, (2, CAPTION - 5), FONT, FONT_SCALE, (255, 255, 255), 1, cv2.LINE_AA)
    return strip


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
