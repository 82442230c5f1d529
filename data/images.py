"""Decode images from untrusted files. The structure of an image is checked, and its size limited, first.

A PNG of a few hundred bytes can ask for gigabytes of memory, and a JPEG of a few thousand bytes with
hundreds of scans takes minutes to decode.
"""

from __future__ import annotations

import os
import stat
from typing import Optional

import numpy as np

from arcface_mx.data.image_structure import RefusedImage, read_structure

MAX_PIXELS = 1 << 24  # of an image in a face set: 4096×4096
MAX_CAMERA_PIXELS = 1 << 28  # of an image from a camera, before alignment: cameras reach 200 million
MAX_SCANS = 200  # of a progressive JPEG; encoders write about ten
MAX_SCANNED_PIXELS = 1 << 30  # pixels × scans; a progressive JPEG counts for eight scans at least
MAX_FILE = 1 << 29  # bytes of an image file


def read_image_file(path: str) -> bytes:
    """Return the content of an image file, which may be anything that lies in a stranger's folder.

    Parameters
    ----------
    path : str
        The file.

    Returns
    -------
    bytes
        Its content.

    Raises
    ------
    ValueError
        If there is no such file, if it cannot be read, if it is no regular file (a pipe or a device
        would block or never end), or if it is larger than `MAX_FILE`. The message lacks the path.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        with os.fdopen(descriptor, "rb") as stream:
            state = os.fstat(descriptor)
            if not stat.S_ISREG(state.st_mode):
                raise RefusedImage("is no regular file")
            if state.st_size > MAX_FILE:
                raise RefusedImage(f"has {state.st_size} bytes; files of more than {MAX_FILE} are not read")
            return stream.read(MAX_FILE)
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from None


def decode_bgr(image: bytes, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Decode an image whose structure is one of the accepted ones (see `read_structure`).

    Parameters
    ----------
    image : bytes
        An encoded image: JPEG, PNG, BMP, WebP, or binary PGM or PPM.
    max_pixels : int
        Images of more pixels are refused.

    Returns
    -------
    np.ndarray of uint8, shape (height, width, 3)
        The pixels, BGR as in OpenCV.

    Raises
    ------
    RefusedImage
        If the format is another one, or if the image has more pixels or scans than are decoded.
    ValueError
        If the bytes are no image, or if the image is damaged or cut off.
    """
    import cv2

    structure = read_structure(image)
    pixels = structure.height * structure.width
    if pixels > max_pixels:
        raise RefusedImage(
            f"says that it is {structure.height}×{structure.width} pixels; more than {max_pixels} are not decoded"
        )
    if structure.scans > MAX_SCANS:
        raise RefusedImage(f"a JPEG with more than {MAX_SCANS} scans")
    if structure.scans * pixels > MAX_SCANNED_PIXELS:
        raise RefusedImage(
            f"a progressive JPEG of {structure.height}×{structure.width} pixels and {structure.scans} scans; pixels × "
            f"scans above {MAX_SCANNED_PIXELS} are not decoded"
        )
    if structure.end > len(image):
        raise ValueError(f"is a {structure.format} image that is cut off")
    try:
        decoded = cv2.imdecode(np.frombuffer(image, np.uint8, structure.end), cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise ValueError(f"cannot be decoded: {error.err}") from None
    if decoded is None:
        raise ValueError(f"is a {structure.format} image that cannot be decoded")
    return decoded


def decode_rgb(image: bytes) -> np.ndarray:
    """Decode an image as `decode_bgr` does, to RGB: uint8, contiguous, shape (height, width, 3)."""
    return np.ascontiguousarray(decode_bgr(image)[:, :, ::-1])


def decode_or_none(image: bytes, max_pixels: int = MAX_PIXELS) -> Optional[np.ndarray]:
    """Decode an image as `decode_bgr` does; None if that fails."""
    try:
        return decode_bgr(image, max_pixels)
    except ValueError:
        return None
