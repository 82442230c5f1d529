"""Where the face lies in an image that should be an aligned crop."""

from __future__ import annotations

from typing import List, Optional, Sequence, Tuple

import numpy as np

from arcface_mx.data.align.image import choose_face, open_detector
from arcface_mx.data.align.transform import HEIGHT, reference_landmarks
from arcface_mx.data.images import decode_rgb

MAX_DISTANCE = 16.0  # pixels of a crop, root mean square; aligned profiles reach 14, photographs have 30


def landmark_offsets(image: np.ndarray, min_face: int = 20) -> Optional[np.ndarray]:
    """Detect the face of an image and compare its landmarks with those of an aligned crop.

    Parameters
    ----------
    image : np.ndarray of uint8, shape (height, width, 3)
        RGB.
    min_face : int
        Side in pixels of the smallest face that is detected.

    Returns
    -------
    np.ndarray of float, shape (5, 2), or None
        How far the landmarks lie right of and below the reference, if the image is scaled to the
        height of a crop, 112 pixels. None if no face is found.

    Raises
    ------
    UserError
        If the detector is not installed.
    """
    height, width = image.shape[:2]
    faces, _ = open_detector(min_face).find(image)
    if not len(faces.scores):
        return None
    landmarks = faces.landmarks[choose_face(faces, height, width)]
    scale = HEIGHT / height
    # Coordinates are of pixel centres.
    return (landmarks + 0.5) * scale - 0.5 - reference_landmarks(width * scale)


def eye_offsets(images: Sequence[bytes]) -> List[Optional[Tuple[float, float]]]:
    """How far the middle between the eyes lies right of and below the reference, for each encoded image.

    None for an image that cannot be decoded, or in which no face is found where a crop may have it.
    """
    results: List[Optional[Tuple[float, float]]] = []
    for image in images:
        try:
            offsets = landmark_offsets(decode_rgb(image))
        except ValueError:
            offsets = None
        x, y = (np.nan, np.nan) if offsets is None else offsets[:2].mean(0)
        results.append((float(x), float(y)) if np.hypot(x, y) < HEIGHT / 4 else None)
    return results
