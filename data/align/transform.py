"""Alignment: five points of a face → a similarity transform → a crop in which they lie where all faces have them."""

from __future__ import annotations

from typing import Tuple

import cv2
import numpy as np

HEIGHT, WIDTH = 112, 112

# Left eye, right eye, nose, left and right mouth corner (x, y) in a crop of 112×112: the paper's
# reference points. "Left" is the viewer's left. A crop of 112×96 lacks 8 columns on each side.
REFERENCE = np.asarray(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)


def reference_points(width: int = WIDTH) -> np.ndarray:
    """The reference points (5×2) in a crop 112 high and `width` wide, middle kept in the middle."""
    return REFERENCE - [(WIDTH - width) / 2, 0]


def similarity(points: np.ndarray, reference: np.ndarray) -> Tuple[np.ndarray, float]:
    """The 2×3 matrix of the similarity transform that brings K `points` (K×2) nearest to `reference`.

    Least squares over rotation, scale and shift, no reflection. The second value is the residual:
    the root mean square distance, in pixels of the crop, that is left between the points. Raises
    ValueError where all points coincide or one is not finite.
    """
    if not np.isfinite(points).all():
        raise ValueError("a point is not finite")
    # As complex numbers, rotation and scale are one factor.
    source, target = (p[:, 0] + 1j * p[:, 1] for p in (points, reference))
    centred = source - source.mean()
    spread = np.vdot(centred, centred).real
    if spread < 1e-6:
        raise ValueError("the points coincide")
    factor = np.vdot(centred, target - target.mean()) / spread
    shift = target.mean() - factor * source.mean()
    residual = np.abs(factor * source + shift - target)
    matrix = np.asarray([[factor.real, -factor.imag, shift.real], [factor.imag, factor.real, shift.imag]])
    return matrix, float(np.sqrt(np.mean(residual**2)))


def align(
    image: np.ndarray, points: np.ndarray, width: int = WIDTH, border: int = cv2.BORDER_CONSTANT
) -> Tuple[np.ndarray, float]:
    """The aligned crop (112×width, channels as in `image`) and the residual of `similarity`.

    points: 5×2, x and y in pixels of `image`. border: what lies outside the photo, black as in
    the published data sets, or cv2.BORDER_REPLICATE. Raises ValueError as `similarity` does.
    """
    matrix, residual = similarity(np.asarray(points, float), reference_points(width))
    scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    if scale < 1e-6:
        raise ValueError("the points lie in no order of a face")
    # Bilinear sampling skips pixels of faces more than twice too large: average those first.
    shrink = min(int(1 / scale), min(image.shape[:2]))
    if shrink > 1:
        rows, columns = image.shape[0] // shrink, image.shape[1] // shrink
        image = cv2.resize(image[: rows * shrink, : columns * shrink], (columns, rows), interpolation=cv2.INTER_AREA)
        small = (np.asarray(points, float) + 0.5) / shrink - 0.5
        matrix, _ = similarity(small, reference_points(width))
    crop = cv2.warpAffine(image, matrix, (width, HEIGHT), flags=cv2.INTER_LINEAR, borderMode=border)
    return crop, residual
