"""Images that state too large a size are refused before they are decoded."""

from __future__ import annotations

import struct
import subprocess
import sys
import zlib

import cv2
import numpy as np
import pytest

from arcface_mx.data.images import MAX_PIXELS, decode_bgr, decode_or_none, stated_size

PIXELS = np.random.RandomState(0).randint(0, 256, (5, 3, 3)).astype(np.uint8).repeat(8, 0).repeat(8, 1)


def encoded(suffix, *options):
    return cv2.imencode(suffix, PIXELS, list(options))[1].tobytes()


def png(width, height):
    """A PNG of a few hundred bytes that states any size. It holds one line of zeros."""

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(bytes(1 + 3 * min(width, 10000))))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("image", [encoded(".png"), encoded(".jpg"), encoded(".jpg", cv2.IMWRITE_JPEG_PROGRESSIVE, 1)])
def test_the_stated_size_is_the_decoded_one(image):
    assert stated_size(image) == decode_bgr(image).shape[:2] == (40, 24)


@pytest.mark.parametrize("suffix", [".bmp", ".webp", ".ppm", ".tiff"])
def test_other_formats_are_decoded(suffix):
    assert stated_size(encoded(suffix)) is None and decode_bgr(encoded(suffix)).shape == (40, 24, 3)


def jpeg_bomb():
    small = encoded(".jpg")
    place = small.index(b"\xff\xc0")
    return small[: place + 5] + struct.pack(">HH", 65000, 65000) + small[place + 9 :]


@pytest.mark.parametrize("image", [png(50000, 50000), png(5000, 5000), jpeg_bomb(), png(2**31 - 1, 2**31 - 1)])
def test_bombs_are_refused(image):
    assert len(image) < 1000
    with pytest.raises(ValueError, match=f"says that it is \\d+×\\d+ pixels; more than {MAX_PIXELS}"):
        decode_bgr(image)
    assert decode_or_none(image) is None


def test_a_jpeg_of_endless_scans_is_refused():
    image = encoded(".jpg", cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
    scans = image[image.index(b"\xff\xda") : -2]
    with pytest.raises(ValueError, match="more than 200 scans"):
        decode_bgr(image[:-2] + scans * 200 + b"\xff\xd9")


def test_the_limit_of_opencv_is_set_for_other_formats():
    """A bitmap states 20,000×20,000 pixels in 60 bytes. OpenCV reads its limit when it is loaded."""
    code = """
import arcface_mx, struct
from arcface_mx.data.images import decode_bgr
head = struct.pack("<IiiHHIIiiII", 40, 20000, 20000, 1, 24, 0, 0, 0, 0, 0, 0)
try:
    decode_bgr(b"BM" + struct.pack("<IHHI", 60, 0, 0, 54) + head + bytes(6))
except ValueError as error:
    print(error)
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "cannot be decoded" in ended.stdout and "MAX_IMAGE_PIXELS" in ended.stdout, ended


@pytest.mark.parametrize(
    "image",
    [
        b"",
        b"\xff\xd8",
        b"\xff\xd8\xff",
        b"\xff\xd8\xff\xc0",
        b"\x89PNG\r\n\x1a\n",
        b"\xff\xd8" + b"\xff" * 5000,
        b"GIF89a",
    ],
)
def test_other_bytes_are_refused(image):
    with pytest.raises(ValueError):
        decode_bgr(image)
