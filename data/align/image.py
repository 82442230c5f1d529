"""Align one photo: find its face, choose among several, say what became of it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Dict, NamedTuple, Optional, Tuple

import cv2
import numpy as np

from arcface_mx.data.align.detector import Detector, Faces
from arcface_mx.data.align.transform import WIDTH, align, reference_points, similarity
from arcface_mx.data.images import MAX_CAMERA_PIXELS, decode_or_none
from arcface_mx.util.errors import UserError

BORDERS = {"black": cv2.BORDER_CONSTANT, "replicate": cv2.BORDER_REPLICATE}
# What became of a photo. The first four are aligned.
ALIGNED, SEVERAL, SMALL, UNCERTAIN = "aligned", "several faces", "small", "uncertain"
NONE, UNREADABLE, NO_POINTS = "no face found", "unreadable", "no landmarks"
ENLARGED = 2.0  # a face enlarged more than this is "small"


@dataclass(frozen=True)
class AlignOptions:
    """width: of the crop, 112 or 96. landmarks: a file of them; None: detect. min_face: pixels."""

    width: int = WIDTH
    landmarks: Optional[str] = None
    min_face: int = 20
    border: str = "black"
    quality: int = 95

    def check(self) -> None:
        if self.width not in (112, 96):
            raise UserError(f"--width {self.width}: crops are 112 or 96 wide")
        if self.border not in BORDERS:
            raise UserError(f"--border {self.border}: choose one of {', '.join(BORDERS)}")
        if not 1 <= self.quality <= 100:
            raise UserError(f"--quality {self.quality}: must lie in 1 to 100")


class Outcome(NamedTuple):
    """What became of one photo."""

    photo: str  # path below the source folder
    status: str
    faces: int  # found, or 1 with landmarks
    residual: float  # of the five points, pixels of the crop
    points: Optional[np.ndarray]  # 5×2, pixels of the photo
    image: Optional[bytes]  # the crop, JPEG


def is_aligned(outcome: Outcome) -> bool:
    return outcome.status in (ALIGNED, SEVERAL, SMALL, UNCERTAIN)


# The detector's thresholds: the package's, and lower ones for photos in which those find nothing.
LOOKS = ((0.6, 0.7, 0.7), (0.4, 0.5, 0.3))
_detectors: Dict[Tuple[int, int], Detector] = {}  # kept in each process: reading the networks takes 50 ms


def _find(pixels: np.ndarray, min_face: int) -> Tuple[Faces, bool]:
    """Faces, and whether it took the second look to find them."""
    faces = Faces(np.zeros((0, 4)), np.zeros(0), np.zeros((0, 5, 2)))
    for look, thresholds in enumerate(LOOKS):
        if (min_face, look) not in _detectors:
            _detectors[min_face, look] = Detector(min_face, thresholds)
        faces = _detectors[min_face, look](pixels)
        if len(faces.scores):
            return faces, look > 0
    return faces, False


def align_photo(source: str, options: AlignOptions, task: Tuple[str, Optional[np.ndarray]]) -> Outcome:
    """Align one photo; task: its path below `source` and its points, None where they are to be found."""
    photo, points = task
    if options.landmarks and points is None:
        return Outcome(photo, NO_POINTS, 0, 0.0, None, None)
    with open(os.path.join(source, photo), "rb") as stream:
        pixels = decode_or_none(stream.read(), MAX_CAMERA_PIXELS)
    if pixels is None:
        return Outcome(photo, UNREADABLE, 0, 0.0, None, None)
    count, again = 1, False
    if points is None:
        faces, again = _find(pixels[:, :, ::-1], options.min_face)
        count = len(faces.scores)
        if not count:
            return Outcome(photo, NONE, 0, 0.0, None, None)
        # Rounded as in the table: given back as landmarks, it makes the same crops.
        points = faces.points[choose_face(faces, pixels.shape[0], pixels.shape[1])].round(2)
    try:
        crop, residual = align(pixels, points, options.width, BORDERS[options.border])
        matrix, _ = similarity(points, reference_points(options.width))
    except ValueError:
        return Outcome(photo, NONE, count, 0.0, points, None)
    enlarged = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    status = SEVERAL if count > 1 else UNCERTAIN if again else SMALL if enlarged > ENLARGED else ALIGNED
    _, data = cv2.imencode(".jpg", crop, [cv2.IMWRITE_JPEG_QUALITY, options.quality])
    return Outcome(photo, status, count, residual, points, bytes(data))


def choose_face(faces: Faces, height: int, width: int) -> int:
    """The face that a photo is of: large and central."""
    size = faces.boxes[:, 2:] - faces.boxes[:, :2]
    away = (faces.boxes[:, 2:] + faces.boxes[:, :2]) / 2 - [width / 2, height / 2]
    return int(np.argmax(size[:, 0] * size[:, 1] - 2 * (away**2).sum(1)))
