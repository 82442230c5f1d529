"""Detect faces with a network of the user's own, by OpenCV's `FaceDetectorYN`."""

from __future__ import annotations

import os
from typing import Tuple

import cv2
import numpy as np

from arcface_mx.data.align.detector import Faces
from arcface_mx.util.errors import UserError

MAX_SIDE = 1024  # pixels; larger images are shrunk first, because the network sees faces of 10 to 300 pixels
THRESHOLD, LOWER_THRESHOLD = 0.7, 0.4  # scores, as `Detector` has them
MAX_OVERLAP = 0.3  # of two boxes, as a share of their union
MAX_CANDIDATES = 5000


class YuNet:
    """A face detector that is an ONNX file, in the form that OpenCV's `FaceDetectorYN` reads.

    Parameters
    ----------
    path : str
        The ONNX file, such as ``face_detection_yunet_2023mar.onnx`` of OpenCV's model zoo.
    min_face : int
        Side in pixels of the smallest face that is detected.

    Raises
    ------
    UserError
        If the file is no such detector.
    """

    def __init__(self, path: str, min_face: int = 20) -> None:
        if not os.path.isfile(path):
            raise UserError(f"`detector`: {path}: no such file; give an ONNX file that cv2.FaceDetectorYN reads")
        if not hasattr(cv2, "FaceDetectorYN"):
            raise UserError(f"`detector` needs opencv-python 4.5.4 or later; this is {cv2.__version__}")
        self.path, self.min_face = path, min_face
        try:
            self._net = cv2.FaceDetectorYN.create(path, "", (64, 64), LOWER_THRESHOLD, MAX_OVERLAP, MAX_CANDIDATES)
        except cv2.error as error:
            raise self._refusal(error) from None
        self(np.full((64, 64, 3), 128, np.uint8))  # a network with other outputs fails here

    def __call__(self, image: np.ndarray) -> Faces:
        """Detect the faces in an image.

        Parameters
        ----------
        image : np.ndarray of uint8, shape (height, width, 3)
            RGB.

        Returns
        -------
        Faces
            Boxes, scores and landmarks, with scores above the lower threshold.
        """
        scale = min(1.0, MAX_SIDE / max(image.shape[:2]))
        height, width = (max(1, round(side * scale)) for side in image.shape[:2])
        pixels = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
        try:
            self._net.setInputSize((width, height))
            _, found = self._net.detect(np.ascontiguousarray(pixels[:, :, ::-1]))
        except cv2.error as error:
            raise self._refusal(error) from None
        # A row holds left, top, width and height of the box, x and y of the five points, and the score.
        rows = np.zeros((0, 15)) if found is None else np.asarray(found, float)
        rows = rows[np.isfinite(rows).all(1)]
        rows = rows[np.argsort(-rows[:, 14], kind="stable")]
        boxes = np.hstack([rows[:, :2], rows[:, :2] + rows[:, 2:4]]) / scale
        large = (boxes[:, 2:] - boxes[:, :2]).min(1, initial=np.inf) >= self.min_face
        return Faces(boxes[large], rows[large, 14], rows[large, 4:14].reshape(-1, 5, 2) / scale)

    def find(self, image: np.ndarray) -> Tuple[Faces, bool]:
        """Detect the faces in an image, if necessary with a lower threshold.

        Parameters
        ----------
        image : np.ndarray of uint8, shape (height, width, 3)
            RGB.

        Returns
        -------
        faces : Faces
            Boxes, scores and landmarks.
        uncertain : bool
            Whether all scores are below the default threshold.
        """
        faces = self(image)
        certain = faces.scores >= THRESHOLD
        if certain.any():
            return Faces(*(field[certain] for field in faces)), False
        return faces, len(faces.scores) > 0

    def _refusal(self, error: cv2.error) -> UserError:
        return UserError(f"`detector`: {self.path}: is no face detector that cv2.FaceDetectorYN reads: {error.err}")
