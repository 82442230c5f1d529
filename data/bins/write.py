"""Write verification sets in InsightFace's `.bin` layout. The bytes are described in data/README.md."""

from __future__ import annotations

import hashlib
import struct
from typing import IO, Dict, Iterable, Sequence

from arcface_mx.util.errors import UserError
from arcface_mx.util.files import atomic_write

BATCH = 1000  # items between MARK and APPENDS, as Python's own pickler does


def write_pairs(path: str, images: Iterable[bytes], same: Sequence[bool]) -> None:
    """Write a verification set, whole or not at all; equal input gives equal bytes.

    images: 2·len(same) encoded images, streamed (one is held at a time); a repeated image is
    stored once. same: whether pair k (images 2k, 2k+1) shows one person.

    The opcodes are protocol 2 with images as byte strings (Python's own pickler under protocol 2
    would store them as text, half as large again): `pickle.load(f)` in Python 2 and
    `pickle.load(f, encoding="bytes")` in Python 3 give (list of bytes, list of bool).

    Raises UserError when there is no pair, when an image is empty or not bytes, or when their
    number is not 2·len(same).
    """
    if not len(same):
        raise UserError(f"{path}: no pairs to write")
    with atomic_write(path) as stream:
        stream.write(b"\x80\x02]")  # PROTO 2, EMPTY_LIST
        count = _write_images(path, stream, images)
        if count != 2 * len(same):
            raise UserError(f"{path}: {count} images for {len(same)} pairs; a pair takes two images")
        stream.write(b"]")
        for start in range(0, len(same), BATCH):
            block = same[start : start + BATCH]
            stream.write(b"(" + b"".join(b"\x88" if value else b"\x89" for value in block) + b"e")
        stream.write(b"\x86.")  # TUPLE2, STOP


def _write_images(path: str, stream: IO[bytes], images: Iterable[bytes]) -> int:
    """Append the images to the list on the pickle's stack; returns how many there were."""
    known: Dict[bytes, int] = {}  # hash of an image -> its place in the pickle's memo
    count = 0
    for count, image in enumerate(images, 1):
        if not isinstance(image, bytes) or not image:
            raise UserError(f"{path}: image {count - 1} is {_describe(image)}; give encoded bytes")
        if count % BATCH == 1:
            stream.write(b"e(" if count > 1 else b"(")  # APPENDS, MARK
        digest = hashlib.sha256(image).digest()
        if digest in known:
            stream.write(struct.pack("<cI", b"j", known[digest]))  # LONG_BINGET
            continue
        known[digest] = len(known)
        stream.write(struct.pack("<cI", b"T", len(image)))  # BINSTRING
        stream.write(image)
        stream.write(struct.pack("<cI", b"r", known[digest]))  # LONG_BINPUT
    stream.write(b"e" if count else b"")
    return count


def _describe(image: object) -> str:
    return "empty" if isinstance(image, bytes) else f"of type {type(image).__name__}"
