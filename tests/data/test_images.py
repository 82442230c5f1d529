"""Images of other formats, and images that state too large a size, are refused before they are decoded."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import zlib

import cv2
import numpy as np
import pytest

from arcface_mx.data.image_structure import RefusedImage, read_structure
from arcface_mx.data.images import MAX_CAMERA_PIXELS, MAX_PIXELS, decode_bgr, decode_or_none, read_image_file
from tests.support.strange_images import animated_png, chunk

PIXELS = np.random.RandomState(0).randint(0, 256, (5, 3, 3)).astype(np.uint8).repeat(8, 0).repeat(8, 1)


def encoded(suffix, *options):
    pixels = PIXELS.astype(np.float32) if suffix == ".hdr" else PIXELS
    return cv2.imencode(suffix, pixels, list(options))[1].tobytes()


PROGRESSIVE = encoded(".jpg", cv2.IMWRITE_JPEG_PROGRESSIVE, 1)


def png(width, height):
    """A PNG of a few hundred bytes that states any size. It holds one line of zeros."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(bytes(1 + 3 * min(width, 10000))))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    "image",
    [
        encoded(".png"),
        encoded(".jpg"),
        encoded(".jpg", cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
        encoded(".bmp"),
        encoded(".webp"),
        encoded(".webp", cv2.IMWRITE_WEBP_QUALITY, 101),
        encoded(".ppm"),
        b"P5 # grey\n24 40\n255\n" + bytes(960),
    ],
    ids=["png", "jpg", "progressive", "bmp", "webp", "lossless webp", "ppm", "pgm"],
)
def test_the_stated_size_is_the_decoded_one(image):
    structure = read_structure(image)
    assert (structure.height, structure.width) == decode_bgr(image).shape[:2] == (40, 24)
    assert structure.end == len(image) and (structure.scans > 1) == (image == PROGRESSIVE)
    with pytest.raises(ValueError):  # each kind is refused if its end is missing
        decode_bgr(image[:-2])


def test_what_lies_behind_the_image_is_not_decoded():
    """Phones append a film to a JPEG. Bytes behind the end were a reason to call an image cut off."""
    for image in (encoded(".jpg"), encoded(".png")):
        assert (decode_or_none(image + b"\xff\xc0film" * 5000) == decode_bgr(image)).all()


def webp_chunk(kind, body):
    return kind + struct.pack("<I", len(body)) + body + bytes(len(body) % 2)


def animated_webp():
    head = webp_chunk(b"VP8X", b"\x02" + bytes(3) + bytes((23, 0, 0, 39, 0, 0)))
    body = b"WEBP" + head + encoded(".webp")[12:]
    return b"RIFF" + struct.pack("<I", len(body)) + body


@pytest.mark.parametrize(
    "image, name",
    [
        (animated_png(), "animated PNG"),
        (encoded(".png")[:33] + chunk(b"acTL", bytes(8)) + encoded(".png")[33:], "animated PNG"),
        (encoded(".png").replace(b"IDAT", b"fdAT", 1), "animated PNG"),
        (animated_webp(), "animated WebP"),
        (encoded(".tiff"), "TIFF"),
        (b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(50), "JPEG 2000"),
        (b"\xff\x4f\xff\x51" + bytes(50), "JPEG 2000"),
        (b"GIF89a" + bytes(50), "GIF"),
        (b"\0\0\0\x18ftypheic" + bytes(50), "HEIC"),
        (b"\0\0\0\x20ftypavif" + bytes(50), "AVIF"),
        (encoded(".hdr"), "Radiance"),
        (b"P3\n1 1\n255\n1 2 3\n", "PNM"),
        (encoded(".jpg").replace(b"\xff\xc0", b"\xff\xc9", 1), "JPEG of a rare kind"),
        (encoded(".bmp")[:30] + b"\1" + encoded(".bmp")[31:], "BMP of a rare kind"),
    ],
)
def test_other_formats_are_refused_by_name(image, name):
    with pytest.raises(RefusedImage, match=name):
        decode_bgr(image)


def jpeg_bomb():
    small = encoded(".jpg")
    place = small.index(b"\xff\xc0")
    return small[: place + 5] + struct.pack(">HH", 65000, 65000) + small[place + 9 :]


def bmp_bomb():
    head = struct.pack("<IiiHHIIiiII", 40, 20000, 20000, 1, 24, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 60, 0, 0, 54) + head + bytes(6)


@pytest.mark.parametrize(
    "image",
    [png(50000, 50000), png(5000, 5000), jpeg_bomb(), png(2**31 - 1, 2**31 - 1), bmp_bomb(), b"P6 9999 9999 255\n"],
)
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


def test_few_scans_of_many_pixels_are_refused_too():
    """A 3.8-kB JPEG with 199 scans of 16384×16384 took 11 seconds and 2.1 GB."""
    place = PROGRESSIVE.index(b"\xff\xc2")
    head = PROGRESSIVE[: place + 5] + struct.pack(">HH", 16384, 16384) + PROGRESSIVE[place + 9 : -2]
    scan = PROGRESSIVE[PROGRESSIVE.index(b"\xff\xda") : -2]
    with pytest.raises(RefusedImage, match=r"progressive JPEG of 16384×16384 pixels and \d+ scans"):
        decode_bgr(head + scan * 15 + b"\xff\xd9", MAX_CAMERA_PIXELS)


def test_the_limit_of_opencv_is_set():
    """OpenCV has a limit too, which it reads when it is loaded."""
    code = """
import arcface_mx, cv2, numpy
try:
    cv2.imdecode(numpy.frombuffer(bytes.fromhex("BMP"), numpy.uint8), 1)
except cv2.error as error:
    print(error)
""".replace("BMP", bmp_bomb().hex())
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "MAX_IMAGE_PIXELS" in ended.stdout, ended


def test_only_regular_files_of_bounded_size_are_read(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert read_image_file(str(tmp_path / "a")) == b"abc"
    os.mkfifo(tmp_path / "pipe")
    os.symlink("/dev/zero", tmp_path / "zero")
    with open(tmp_path / "sparse", "wb") as stream:
        stream.truncate(20 << 30)
    for name, message in (
        ("pipe", "no regular file"),
        ("zero", "no regular file"),
        ("", "no regular file|Is a directory"),
        ("sparse", "has 21474836480 bytes"),
        ("none", "cannot be read: No such file"),
    ):
        with pytest.raises(ValueError, match=message):
            read_image_file(str(tmp_path / name))


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
