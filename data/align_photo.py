"""Align one photo: find its face, choose among several, say what became of it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Dict, NamedTuple, Optional, Tuple

import cv2
import numpy as np

from arcface_mx.data.align import WIDTH, align, reference_points, similarity
from arcface_mx.data.check_images import decode
from arcface_mx.data.detect import Detector, Faces
from arcface_mx.errors import UserError

BORDERS = {"black": cv2.BORDER_CONSTANT, "replicate": cv2.BORDER_REPLICATE}
# What became of a photo. The first three are aligned.
ALIGNED, SEVERAL, SMALL = "aligned", "several faces", "small"
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
            raise UserError("--width %d: crops are 112 or 96 wide" % self.width)
        if self.border not in BORDERS:
            raise UserError("--border %s: choose one of %s" % (self.border, ", ".join(BORDERS)))
        if not 1 <= self.quality <= 100:
            raise UserError("--quality %d: must lie in 1 to 100" % self.quality)


class Outcome(NamedTuple):
    """What became of one photo."""

    photo: str  # path below the source folder
    status: str
    faces: int  # found, or 1 with landmarks
    residual: float  # of the five points, pixels of the crop
    points: Optional[np.ndarray]  # 5×2, pixels of the photo
    image: Optional[bytes]  # the crop, JPEG


def is_aligned(outcome: Outcome) -> bool:
    return outcome.status in (ALIGNED, SEVERAL, SMALL)


_detectors: Dict[int, Detector] = {}  # one a process and smallest face: reading the networks takes 50 ms


def align_photo(source: str, options: AlignOptions, task: Tuple[str, Optional[np.ndarray]]) -> Outcome:
    """Align one photo; task: its path below `source` and its points, None where they are to be found."""
    photo, points = task
    if options.landmarks and points is None:
        return Outcome(photo, NO_POINTS, 0, 0.0, None, None)
    with open(os.path.join(source, photo), "rb") as stream:
        pixels = decode(stream.read())
    if pixels is None:
        return Outcome(photo, UNREADABLE, 0, 0.0, None, None)
    count = 1
    if points is None:
        if options.min_face not in _detectors:
            _detectors[options.min_face] = Detector(options.min_face)
        faces = _detectors[options.min_face](pixels[:, :, ::-1])
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
    status = SEVERAL if count > 1 else SMALL if enlarged > ENLARGED else ALIGNED
    _, data = cv2.imencode(".jpg", crop, [cv2.IMWRITE_JPEG_QUALITY, options.quality])
    return Outcome(photo, status, count, residual, points, bytes(data))


def choose_face(faces: Faces, height: int, width: int) -> int:
    """The face that a photo is of: large and central."""
    size = faces.boxes[:, 2:] - faces.boxes[:, :2]
    away = (faces.boxes[:, 2:] + faces.boxes[:, :2]) / 2 - [width / 2, height / 2]
    return int(np.argmax(size[:, 0] * size[:, 1] - 2 * (away**2).sum(1)))
