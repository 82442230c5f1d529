"""Decode images from untrusted files. The size of an image is read, and limited, before its pixels.

A PNG of a few hundred bytes can ask for gigabytes of memory, and a JPEG with thousands of scans
takes minutes to decode.
"""

from __future__ import annotations

import struct
from typing import Optional, Tuple

import numpy as np

MAX_PIXELS = 1 << 24  # of an image in a face set: 4096×4096
MAX_CAMERA_PIXELS = 1 << 28  # of an image from a camera, before alignment: cameras reach 200 million
MAX_SCANS = 200  # of a progressive JPEG; encoders write about ten
JPEG_START, JPEG_END, PNG_START = b"\xff\xd8", b"\xff\xd9", b"\x89PNG\r\n\x1a\n"
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # JPEG markers that hold the size


def decode_bgr(image: bytes, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Decode an image of any kind that OpenCV reads.

    Parameters
    ----------
    image : bytes
        An encoded image: JPEG, PNG, ...
    max_pixels : int
        Images of more pixels are refused.

    Returns
    -------
    np.ndarray of uint8, shape (height, width, 3)
        The pixels, BGR as in OpenCV.

    Raises
    ------
    ValueError
        If the bytes are no image, or if the image is larger than `max_pixels`.
    """
    import cv2

    size = stated_size(image)
    if size is not None and size[0] * size[1] > max_pixels:
        raise ValueError(f"says that it is {size[0]}×{size[1]} pixels; more than {max_pixels} are not decoded")
    if image.startswith(JPEG_START) and image.count(b"\xff\xda") > MAX_SCANS:
        raise ValueError(f"a JPEG with more than {MAX_SCANS} scans")
    try:
        pixels = cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_COLOR) if image else None
    except cv2.error as error:
        raise ValueError(f"cannot be decoded: {error.err}") from None
    if pixels is None:
        raise ValueError(f"{len(image)} bytes that are no readable image (they begin with {bytes(image[:8])!r})")
    return pixels


def decode_rgb(image: bytes) -> np.ndarray:
    """Decode an image as `decode_bgr` does, to RGB: uint8, contiguous, shape (height, width, 3)."""
    return np.ascontiguousarray(decode_bgr(image)[:, :, ::-1])


def decode_or_none(image: bytes, max_pixels: int = MAX_PIXELS) -> Optional[np.ndarray]:
    """Decode a complete image as `decode_bgr` does; None if that fails or if a JPEG is cut off."""
    # OpenCV before 4.11 fills the missing part of a JPEG with grey and reports no error.
    if image.startswith(JPEG_START) and JPEG_END not in image[-64:]:
        return None
    try:
        return decode_bgr(image, max_pixels)
    except ValueError:
        return None


def stated_size(image: bytes) -> Optional[Tuple[int, int]]:
    """Return (height, width) as the header of a JPEG or PNG states it.

    None for other kinds of image, to which OpenCV's own limit applies.
    """
    if image.startswith(PNG_START) and len(image) >= 24:
        width, height = struct.unpack(">II", image[16:24])
        return height, width
    return _jpeg_size(image) if image.startswith(JPEG_START) else None


def _jpeg_size(image: bytes) -> Optional[Tuple[int, int]]:
    """The largest size among the frame headers. The walk goes from marker to marker."""
    at, size = 2, None
    while at + 9 <= len(image):
        if image[at] != 0xFF:
            at = image.find(b"\xff", at)  # decoders skip bytes that are no marker
            if at < 0:
                break
            continue
        marker = image[at + 1]
        if marker in _FRAMES:
            height, width = struct.unpack(">HH", image[at + 5 : at + 9])
            if size is None or height * width > size[0] * size[1]:
                size = (height, width)
        if marker == 0xFF:
            at += 1
        elif marker == 0 or marker == 1 or 0xD0 <= marker <= 0xD9:
            at += 2
        else:
            at += 2 + max(2, struct.unpack(">H", image[at + 2 : at + 4])[0])
    return size
