"""Decode an image that may come from a stranger: its size is read, and limited, before its pixels.

A few hundred bytes of PNG can ask for gigabytes, a JPEG with thousands of scans for minutes.
"""

from __future__ import annotations

import struct
from typing import Optional, Tuple

import numpy as np

MAX_PIXELS = 1 << 24  # of an image in a set: 4096×4096
MAX_PHOTO_PIXELS = 1 << 28  # of a photo that is aligned: cameras reach 200 million
MAX_SCANS = 200  # of a progressive JPEG; encoders write about ten
JPEG_START, PNG_START = b"\xff\xd8", b"\x89PNG\r\n\x1a\n"
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # JPEG markers that hold the size


def decode_bgr(image: bytes, most: int = MAX_PIXELS) -> np.ndarray:
    """uint8 (height, width, 3), BGR as OpenCV gives it. Raises ValueError where there is no such image."""
    import cv2

    size = stated_size(image)
    if size is not None and size[0] * size[1] > most:
        raise ValueError("says that it is %d×%d pixels; more than %d are not decoded" % (size + (most,)))
    if image.startswith(JPEG_START) and image.count(b"\xff\xda") > MAX_SCANS:
        raise ValueError(f"a JPEG with more than {MAX_SCANS} scans")
    try:
        pixels = cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_COLOR) if image else None
    except cv2.error as error:
        raise ValueError(f"cannot be decoded: {error.err}") from None
    if pixels is None:
        raise ValueError(f"{len(image)} bytes that are no readable image (they begin with {bytes(image[:8])!r})")
    return pixels


def stated_size(image: bytes) -> Optional[Tuple[int, int]]:
    """(height, width) as a JPEG or PNG says; None for other kinds, for which OpenCV's own limit stands."""
    if image.startswith(PNG_START) and len(image) >= 24:
        width, height = struct.unpack(">II", image[16:24])
        return height, width
    return _jpeg_size(image) if image.startswith(JPEG_START) else None


def _jpeg_size(image: bytes) -> Optional[Tuple[int, int]]:
    """The largest size among the frame headers, found by walking from marker to marker."""
    at, found = 2, None
    while at + 9 <= len(image):
        if image[at] != 0xFF:
            at = image.find(b"\xff", at)  # decoders skip what is no marker
            if at < 0:
                break
            continue
        marker = image[at + 1]
        if marker in _FRAMES:
            height, width = struct.unpack(">HH", image[at + 5 : at + 9])
            if found is None or height * width > found[0] * found[1]:
                found = (height, width)
        if marker == 0xFF:
            at += 1
        elif marker == 0 or marker == 1 or 0xD0 <= marker <= 0xD9:
            at += 2
        else:
            at += 2 + max(2, struct.unpack(">H", image[at + 2 : at + 4])[0])
    return found
