"""The mean face with the reference points drawn on it: wrong alignment is seen at a glance."""

from __future__ import annotations

import cv2
import numpy as np

from arcface_mx.data.align.transform import HEIGHT, reference_landmarks
from arcface_mx.util.files import atomic_write

ZOOM = 4
COLOUR = (0, 255, 0)


def write_mean_face(mean: np.ndarray, path: str) -> None:
    """Write `mean` (height×width×3, RGB, 0…255) as PNG, four times as large.

    Eyes, nose and mouth corners of an aligned set lie under the circles.
    """
    height, width = mean.shape[:2]
    large = cv2.resize(
        mean[:, :, ::-1].round().astype(np.uint8), (ZOOM * width, ZOOM * height), interpolation=cv2.INTER_CUBIC
    )
    points = reference_landmarks(width * HEIGHT // height) * (height / HEIGHT)
    for x, y in points:
        # Pixel centres: x in the crop is ZOOM·(x + ½) − ½ in the picture.
        centre = (int(round(ZOOM * (x + 0.5) - 0.5)), int(round(ZOOM * (y + 0.5) - 0.5)))
        cv2.circle(large, centre, 2 * ZOOM, COLOUR, 1, cv2.LINE_AA)
        cv2.circle(large, centre, 1, COLOUR, -1)
    _, data = cv2.imencode(".png", large)
    with atomic_write(path) as stream:
        stream.write(data.tobytes())
