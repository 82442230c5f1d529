"""Alignment: the similarity transform that moves a face's landmarks to the reference landmarks."""

from __future__ import annotations

from typing import Tuple

import cv2
import numpy as np

HEIGHT, WIDTH = 112, 112

# x and y of left eye, right eye, nose, left and right mouth corner in a crop of 112×112 pixels.
# "Left" is the viewer's left. A crop of 112×96 lacks 8 columns on each side.
REFERENCE = np.asarray(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)


def reference_landmarks(width: float = WIDTH) -> np.ndarray:
    """Return the reference landmarks, shape (5, 2), of a crop that is 112 high and `width` wide."""
    return REFERENCE - [(WIDTH - width) / 2, 0]


def similarity_transform(points: np.ndarray, reference: np.ndarray) -> Tuple[np.ndarray, float]:
    """Estimate the similarity transform that brings `points` nearest to `reference`.

    Parameters
    ----------
    points, reference : np.ndarray of float, shape (n, 2)
        x and y of corresponding points.

    Returns
    -------
    matrix : np.ndarray of float64, shape (2, 3)
        The transform, as `cv2.warpAffine` takes it.
    residual : float
        Root mean square distance between the transformed points and `reference`.

    Raises
    ------
    ValueError
        If all points coincide, or if one is not finite.

    Notes
    -----
    Least squares over rotation, scale and translation, without reflection.
    """
    if not np.isfinite(points).all():
        raise ValueError("a point is not finite")
    # If points are complex numbers, rotation and scale are one complex factor.
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
    image: np.ndarray, landmarks: np.ndarray, width: int = WIDTH, border: int = cv2.BORDER_CONSTANT
) -> Tuple[np.ndarray, float]:
    """Cut the aligned crop out of an image.

    Parameters
    ----------
    image : np.ndarray of uint8, shape (h, w) or (h, w, channels)
        The image, with any order of channels.
    landmarks : np.ndarray of float, shape (5, 2)
        x and y of the landmarks in pixels of `image`, in the order of `REFERENCE`.
    width : int
        Width of the crop, 112 or 96.
    border : int
        OpenCV's border mode for what lies outside the image. Black is the default, as in the
        published data sets.

    Returns
    -------
    crop : np.ndarray of uint8, shape (112, width) or (112, width, channels)
        The aligned crop.
    residual : float
        Root mean square distance of the landmarks from the reference landmarks, pixels of the crop.

    Raises
    ------
    ValueError
        If the landmarks coincide, if one is not finite, or if they do not have the order of a face.
    """
    landmarks = np.asarray(landmarks, float)
    reference = reference_landmarks(width)
    matrix, residual = similarity_transform(landmarks, reference)
    scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    if scale < 1e-6:
        raise ValueError("the landmarks do not have the order of a face")
    # Bilinear sampling skips pixels if a face is more than twice too large, so average them first.
    shrink = min(int(1 / scale), min(image.shape[:2]))
    if shrink > 1:
        rows, columns = image.shape[0] // shrink, image.shape[1] // shrink
        image = cv2.resize(image[: rows * shrink, : columns * shrink], (columns, rows), interpolation=cv2.INTER_AREA)
        matrix, _ = similarity_transform((landmarks + 0.5) / shrink - 0.5, reference)
    crop = cv2.warpAffine(image, matrix, (width, HEIGHT), flags=cv2.INTER_LINEAR, borderMode=border)
    return crop, residual
