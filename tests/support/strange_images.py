"""Image files of the kinds that strangers' folders hold, made by hand."""

from __future__ import annotations

import struct
import zlib


def chunk(kind: bytes, body: bytes = b"") -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def animated_png() -> bytes:
    """The 127 bytes that crash OpenCV 4.11: one pixel, and an animation frame of 200×200 pixels."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0))
    frame = chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, 200, 200, 0, 0, 1, 10, 0, 0))
    animation = chunk(b"acTL", struct.pack(">II", 2, 0)) + frame + chunk(b"IDAT", zlib.compress(bytes(4)))
    return b"\x89PNG\r\n\x1a\n" + head + animation + chunk(b"IEND")
