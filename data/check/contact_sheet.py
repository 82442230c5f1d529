"""Contact sheets: look at your data."""

from __future__ import annotations

from typing import Iterable

import cv2
import numpy as np

from arcface_mx.data.images import decode_or_none
from arcface_mx.util.errors import UserError
from arcface_mx.util.files import atomic_write

COLUMNS, ROWS = 12, 12
QUALITY = 90


def write_sheet(images: Iterable[bytes], path: str) -> None:
    """Write up to 12×12 encoded images of one size, side by side, as one JPEG. Unreadable ones are left out."""
    tiles = [pixels for pixels in map(decode_or_none, images) if pixels is not None][: COLUMNS * ROWS]
    if not tiles:
        raise UserError(f"{path}: there is no image to show")
    shape = tiles[0].shape
    tiles = [tile if tile.shape == shape else cv2.resize(tile, (shape[1], shape[0])) for tile in tiles]
    tiles += [np.zeros(shape, np.uint8)] * (-len(tiles) % COLUMNS if len(tiles) > COLUMNS else 0)
    rows = [np.hstack(tiles[start : start + COLUMNS]) for start in range(0, len(tiles), COLUMNS)]
    _, data = cv2.imencode(".jpg", np.vstack(rows), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    with atomic_write(path) as stream:
        stream.write(data.tobytes())
