"""The faces of a photograph: where they are, and their embeddings."""

from __future__ import annotations

import os
from typing import List, NamedTuple, Union

import numpy as np

from arcface_mx.data.align.detector import Detector
from arcface_mx.data.align.transform import align
from arcface_mx.data.images import MAX_CAMERA_PIXELS, decode_bgr
from arcface_mx.model.api import as_embedder
from arcface_mx.model.embedder import NARROW_CROP, Embedder, resize_to_input
from arcface_mx.util.errors import UserError

__all__ = ["DetectedFace", "Faces"]


class DetectedFace(NamedTuple):
    """A face that was found in an image.

    Attributes
    ----------
    box : ndarray of float, shape (4,)
        Left, top, right and bottom edge in pixels of the image.
    score : float
        Confidence of the detector, between 0 and 1.
    landmarks : ndarray of float, shape (5, 2)
        x and y of left eye, right eye, nose, left and right mouth corner in pixels of the image.
    crop : ndarray of uint8, shape (height, width, 3)
        The aligned crop that was embedded, RGB.
    embedding : ndarray of float32, shape (d,)
        The embedding, not normalised.
    """

    box: np.ndarray
    score: float
    landmarks: np.ndarray
    crop: np.ndarray
    embedding: np.ndarray


class Faces:
    """Detect the faces of photographs, align them, and embed them.

    Parameters
    ----------
    model : str or Embedder
        A run folder, PREFIX,EPOCH, an ONNX file, or what `arcface_mx.load` returned.
    min_face : int
        Side in pixels of the smallest face that is detected.
    flip : bool
        The flip test: add the embedding of the mirror image to that of the crop.

    Raises
    ------
    UserError
        If the model cannot be loaded, or the detector (extra ``detect``) is not installed.
    """

    def __init__(self, model: Union[str, Embedder], min_face: int = 20, flip: bool = False) -> None:
        self._detector = Detector(min_face)
        self._embedder, self._flip = as_embedder(model), flip

    def get(self, image: Union[str, bytes, np.ndarray]) -> List[DetectedFace]:
        """Return the faces of an image, the one of the highest score first.

        Parameters
        ----------
        image : str, bytes or ndarray of uint8, shape (height, width, 3)
            Path of an image file, the contents of one, or pixels in RGB.

        Returns
        -------
        list of DetectedFace
            Empty if no face was found.

        Raises
        ------
        UserError
            If the file cannot be read, or the array is not an image.
        """
        pixels = _pixels(image)
        found = self._detector(pixels)
        size = self._embedder.input_size
        width = 96 if size == NARROW_CROP else 112
        rows, crops = [], []
        for row, landmarks in enumerate(found.landmarks):
            try:
                crops.append(resize_to_input(align(pixels, landmarks, width)[0], size))
            except ValueError:  # landmarks that are not in the order of a face
                continue
            rows.append(row)
        vectors = self._embedder.embed(crops, flip=self._flip)
        return [
            DetectedFace(found.boxes[row], float(found.scores[row]), found.landmarks[row], crop, vector)
            for row, crop, vector in zip(rows, crops, vectors)
        ]


def _pixels(image: Union[str, bytes, np.ndarray]) -> np.ndarray:
    """Return RGB pixels of a photograph; UserError says what is wrong with it."""
    name = image if isinstance(image, str) else "image"
    try:
        if isinstance(image, str):
            with open(os.fspath(image), "rb") as stream:
                image = stream.read()
        if isinstance(image, bytes):
            return np.ascontiguousarray(decode_bgr(image, MAX_CAMERA_PIXELS)[:, :, ::-1])
    except OSError as error:
        raise UserError(f"{name}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise UserError(f"{name}: {error}") from error
    pixels = np.asarray(image)
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or 0 in pixels.shape:
        raise UserError(f"image: is {pixels.dtype} of shape {pixels.shape}; images are uint8 (height, width, 3), RGB")
    return pixels
