"""Write verification sets in InsightFace's `.bin` layout. data/README.md describes the bytes."""

from __future__ import annotations

import hashlib
import struct
from typing import IO, Dict, Iterable, Sequence

from arcface_mx.util.errors import UserError
from arcface_mx.util.files import atomic_write

BATCH = 1000  # items between MARK and APPENDS, as in Python's own pickler


def write_pairs(path: str, images: Iterable[bytes], same: Sequence[bool]) -> None:
    """Write a verification set. Equal input gives equal bytes, and the file appears whole or not at all.

    Parameters
    ----------
    path : str
        The file to write.
    images : iterable of bytes
        2·P encoded images; pair k is images 2k and 2k+1. One image is held in memory at a time,
        and an image that is repeated is stored once.
    same : sequence of bool, length P
        Whether a pair shows one identity.

    Raises
    ------
    UserError
        If there is no pair, if an image is empty or not of type bytes, or if the number of images is not 2·P.

    Notes
    -----
    The pickle has protocol 2 with images as byte strings: `pickle.load(f)` in Python 2 and
    `pickle.load(f, encoding="bytes")` in Python 3 give (list of bytes, list of bool). Python's
    own pickler would store the images as text under protocol 2, which takes 50 % more space.
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
    """Append the images to the list on the pickle's stack, and return their number."""
    places: Dict[bytes, int] = {}  # hash of an image -> its place in the pickle's memo
    count = 0
    for count, image in enumerate(images, 1):
        if not isinstance(image, bytes) or not image:
            kind = "empty" if isinstance(image, bytes) else f"of type {type(image).__name__}"
            raise UserError(f"{path}: image {count - 1} is {kind}; images must be encoded bytes")
        if count % BATCH == 1:
            stream.write(b"e(" if count > 1 else b"(")  # APPENDS, MARK
        digest = hashlib.sha256(image).digest()
        if digest in places:
            stream.write(struct.pack("<cI", b"j", places[digest]))  # LONG_BINGET
            continue
        places[digest] = len(places)
        stream.write(struct.pack("<cI", b"T", len(image)))  # BINSTRING
        stream.write(image)
        stream.write(struct.pack("<cI", b"r", places[digest]))  # LONG_BINPUT
    stream.write(b"e" if count else b"")
    return count
