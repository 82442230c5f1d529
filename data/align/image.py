"""Align one image: detect its face, choose among several faces, and cut out the aligned crop."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass
from typing import List, NamedTuple, Optional, Sequence, Union

import cv2
import numpy as np

from arcface_mx.data.align.detector import Detector, Faces
from arcface_mx.data.align.transform import WIDTH, align, reference_landmarks, similarity_transform
from arcface_mx.data.align.yunet import YuNet
from arcface_mx.data.images import MAX_CAMERA_PIXELS, decode_bgr, read_image_file
from arcface_mx.util.errors import UserError

BORDERS = {"black": cv2.BORDER_CONSTANT, "replicate": cv2.BORDER_REPLICATE}
# The status of an image. The first four mean that the image was aligned.
ALIGNED, SEVERAL, SMALL, UNCERTAIN = "aligned", "several faces", "small", "uncertain"
NO_FACE, UNREADABLE, NO_LANDMARKS = "no face found", "unreadable", "no landmarks"
MAX_ENLARGEMENT = 2.0  # a face that is enlarged by more than this factor is "small"
MAX_RESIDUAL = 8.0  # pixels; the median of a set of profiles is 7.9, that of wrong numbers is larger


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
    detector : str, optional
        An ONNX file that OpenCV's `FaceDetectorYN` reads. The default detector is MTCNN.
    max_residual : float
        Largest median residual, in pixels, of landmarks from a file or from `detector`. Above it,
        they are refused, because they are not those of faces.
    """

    width: int = WIDTH
    landmarks: Optional[str] = None
    min_face: int = 20
    border: str = "black"
    quality: int = 95
    detector: Optional[str] = None
    max_residual: float = MAX_RESIDUAL

    def check(self) -> None:
        """Raise UserError if an option is out of its range."""
        if self.width not in (112, 96):
            raise UserError(f"`width` must be 112 or 96, got {self.width}")
        if self.border not in BORDERS:
            raise UserError(f"`border` must be one of {', '.join(BORDERS)}, got {self.border}")
        if not 1 <= self.quality <= 100:
            raise UserError(f"`quality` must be between 1 and 100, got {self.quality}")
        if self.landmarks and self.detector:
            raise UserError("`landmarks` and `detector` both say where the faces are; give one of them")


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
    file : str
        Path of the crop, relative to the new folder; empty without a crop.
    note : str
        Why there is no crop, if the status does not say it.
    """

    path: str
    status: str
    num_faces: int = 0
    residual: float = 0.0
    landmarks: Optional[np.ndarray] = None
    crop: Optional[bytes] = None
    file: str = ""
    note: str = ""

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
    """
    if options.landmarks and landmarks is None:
        return Alignment(path, NO_LANDMARKS)
    if landmarks is None:
        return align_faces(path, options, source)[0]
    try:
        pixels = decode_bgr(read_image_file(os.path.join(source, path)), MAX_CAMERA_PIXELS)
    except ValueError as error:
        return Alignment(path, UNREADABLE, note=str(error))
    x, y = landmarks.mean(0)
    if not (0 <= x < pixels.shape[1] and 0 <= y < pixels.shape[0]):
        note = f"its landmarks lie outside of its {pixels.shape[1]}×{pixels.shape[0]} pixels"
        return Alignment(path, NO_FACE, 1, 0.0, landmarks, note=note)
    return _cut(path, pixels, landmarks, options, 1, False)


def align_faces(path: str, options: AlignOptions, source: str = "") -> List[Alignment]:
    """Detect and align all faces of one image.

    Parameters
    ----------
    path : str
        Path of the image, relative to `source`.
    options : AlignOptions
        How the image is aligned. A landmark file is not used.
    source : str
        Folder of the image.

    Returns
    -------
    list of Alignment
        The large and central face first, then the others from left to right. One entry without crop
        if there is no face.
    """
    try:
        pixels = decode_bgr(read_image_file(os.path.join(source, path)), MAX_CAMERA_PIXELS)
    except ValueError as error:
        return [Alignment(path, UNREADABLE, note=str(error))]
    faces, uncertain = open_detector(options.min_face, options.detector).find(pixels[:, :, ::-1])
    count = len(faces.scores)
    if not count:
        return [Alignment(path, NO_FACE)]
    first = choose_face(faces, pixels.shape[0], pixels.shape[1])
    others = [k for k in np.argsort(faces.boxes[:, 0], kind="stable").tolist() if k != first]
    # Rounded as in align.csv, so that this table, used as landmark file, gives the same crops.
    return [_cut(path, pixels, faces.landmarks[k].round(2), options, count, uncertain) for k in [first, *others]]


def align_all(options: AlignOptions, all_faces: bool, paths: Sequence[str]) -> List[List[Alignment]]:
    """Align one face, or all faces, of each image. Child processes call this function."""
    return [align_faces(path, options)[: None if all_faces else 1] for path in paths]


def _cut(
    path: str, pixels: np.ndarray, landmarks: np.ndarray, options: AlignOptions, num_faces: int, uncertain: bool
) -> Alignment:
    """Cut one face out of an image."""
    try:
        crop, residual = align(pixels, landmarks, options.width, BORDERS[options.border])
        matrix, _ = similarity_transform(landmarks, reference_landmarks(options.width))
    except ValueError as error:
        return Alignment(path, NO_FACE, num_faces, 0.0, landmarks, note=str(error))
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


@functools.lru_cache(maxsize=None)  # reading the networks takes 50 ms
def open_detector(min_face: int, path: Optional[str] = None) -> Union[Detector, YuNet]:
    """Return the detector of an ONNX file or, without one, MTCNN.

    Raises UserError if the file is no detector, or if MTCNN is not installed.
    """
    return YuNet(path, min_face) if path else Detector(min_face)
