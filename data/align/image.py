"""Align one image: detect its face, choose among several faces, and cut out the aligned crop."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass
from typing import NamedTuple, Optional, Tuple

import cv2
import numpy as np

from arcface_mx.data.align.detector import Detector, Faces
from arcface_mx.data.align.transform import WIDTH, align, reference_landmarks, similarity_transform
from arcface_mx.data.images import MAX_CAMERA_PIXELS, decode_or_none
from arcface_mx.util.errors import UserError

BORDERS = {"black": cv2.BORDER_CONSTANT, "replicate": cv2.BORDER_REPLICATE}
# The status of an image. The first four mean that the image was aligned.
ALIGNED, SEVERAL, SMALL, UNCERTAIN = "aligned", "several faces", "small", "uncertain"
NO_FACE, UNREADABLE, NO_LANDMARKS = "no face found", "unreadable", "no landmarks"
MAX_ENLARGEMENT = 2.0  # a face that is enlarged by more than this factor is "small"
# The detector's default thresholds, then lower ones for images in which the defaults find no face.
THRESHOLDS = ((0.6, 0.7, 0.7), (0.4, 0.5, 0.3))


@dataclass(frozen=True)
class AlignOptions:
    """How images are aligned.

    Parameters
    ----------
    width : int
        Width of the crops in pixels, 112 or 96. The height is 112.
    landmarks : str, optional
        A landmark file (see `read_landmarks`). The default is to detect the faces.
    min_face : int
        Side in pixels of the smallest face that is detected.
    border : str
        What lies outside the image: ``"black"`` or ``"replicate"`` (the image's outermost pixels).
    quality : int
        JPEG quality of the crops, 1 to 100.
    """

    width: int = WIDTH
    landmarks: Optional[str] = None
    min_face: int = 20
    border: str = "black"
    quality: int = 95

    def check(self) -> None:
        """Raise UserError if an option is out of its range."""
        if self.width not in (112, 96):
            raise UserError(f"`width` must be 112 or 96, got {self.width}")
        if self.border not in BORDERS:
            raise UserError(f"`border` must be one of {', '.join(BORDERS)}, got {self.border}")
        if not 1 <= self.quality <= 100:
            raise UserError(f"`quality` must be between 1 and 100, got {self.quality}")


class Alignment(NamedTuple):
    """The result of aligning one image.

    Attributes
    ----------
    path : str
        Path of the image, relative to the source folder.
    status : str
        ``"aligned"``, ``"several faces"``, ``"small"``, ``"uncertain"``, ``"no face found"``,
        ``"unreadable"`` or ``"no landmarks"``. Only the first four come with a crop.
    num_faces : int
        Number of detected faces; 1 if the landmarks come from a file.
    residual : float
        Root mean square distance of the landmarks from the reference landmarks, pixels of the crop.
    landmarks : np.ndarray of float, shape (5, 2), optional
        x and y of the five landmarks, pixels of the image.
    crop : bytes, optional
        The aligned crop as JPEG.
    """

    path: str
    status: str
    num_faces: int = 0
    residual: float = 0.0
    landmarks: Optional[np.ndarray] = None
    crop: Optional[bytes] = None

    @property
    def is_aligned(self) -> bool:
        """Whether the status is one of those with a crop."""
        return self.status in (ALIGNED, SEVERAL, SMALL, UNCERTAIN)


def align_image(path: str, landmarks: Optional[np.ndarray], options: AlignOptions, source: str = "") -> Alignment:
    """Align the face of one image.

    Parameters
    ----------
    path : str
        Path of the image, relative to `source`.
    landmarks : np.ndarray of float, shape (5, 2), or None
        The landmarks of the face. If None, the face is detected, unless `options` has a landmark
        file.
    options : AlignOptions
        How the image is aligned.
    source : str
        Folder of the image.

    Returns
    -------
    Alignment
        Status, landmarks and crop.

    Raises
    ------
    OSError
        If the file cannot be read.
    """
    if options.landmarks and landmarks is None:
        return Alignment(path, NO_LANDMARKS)
    with open(os.path.join(source, path), "rb") as stream:
        pixels = decode_or_none(stream.read(), MAX_CAMERA_PIXELS)
    if pixels is None:
        return Alignment(path, UNREADABLE)
    num_faces, uncertain = 1, False
    if landmarks is None:
        faces, uncertain = _detect(pixels[:, :, ::-1], options.min_face)
        num_faces = len(faces.scores)
        if not num_faces:
            return Alignment(path, NO_FACE)
        # Rounded as in align.csv, so that this table, used as landmark file, gives the same crops.
        landmarks = faces.landmarks[choose_face(faces, pixels.shape[0], pixels.shape[1])].round(2)
    try:
        crop, residual = align(pixels, landmarks, options.width, BORDERS[options.border])
        matrix, _ = similarity_transform(landmarks, reference_landmarks(options.width))
    except ValueError:
        return Alignment(path, NO_FACE, num_faces, 0.0, landmarks)
    small = float(np.hypot(matrix[0, 0], matrix[1, 0])) > MAX_ENLARGEMENT
    status = SEVERAL if num_faces > 1 else UNCERTAIN if uncertain else SMALL if small else ALIGNED
    _, data = cv2.imencode(".jpg", crop, [cv2.IMWRITE_JPEG_QUALITY, options.quality])
    return Alignment(path, status, num_faces, residual, landmarks, bytes(data))


def choose_face(faces: Faces, height: int, width: int) -> int:
    """Return the index of the large and central face in an image of `height` × `width` pixels.

    Notes
    -----
    The rule is FaceNet's: the largest area less twice the squared distance from the image's centre.
    """
    size = faces.boxes[:, 2:] - faces.boxes[:, :2]
    offset = (faces.boxes[:, 2:] + faces.boxes[:, :2]) / 2 - [width / 2, height / 2]
    return int(np.argmax(size[:, 0] * size[:, 1] - 2 * (offset**2).sum(1)))


def _detect(pixels: np.ndarray, min_face: int) -> Tuple[Faces, bool]:
    """Return the faces, and whether only the lower thresholds found them."""
    default, lower = THRESHOLDS
    faces = _detector(min_face, default)(pixels)
    if len(faces.scores):
        return faces, False
    faces = _detector(min_face, lower)(pixels)
    return faces, len(faces.scores) > 0


@functools.lru_cache(maxsize=None)  # reading the networks takes 50 ms
def _detector(min_face: int, thresholds: Tuple[float, ...]) -> Detector:
    return Detector(min_face, thresholds)
