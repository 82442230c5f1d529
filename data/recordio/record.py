"""One record of a RecordIO file: the parts it is stored as, and the payload that they hold.

A part is a word MAGIC, a word (kind << 29 | length), `length` bytes, and zeros up to the next
multiple of four. Kind 0 is a whole record. Where a payload holds MAGIC at a multiple of four, the
writer leaves that word out and splits the record there, into kinds 1 (first), 2 (middle) and 3
(last). So MAGIC at a multiple of four is always the start of a part. A payload is a header,
labels, and an encoded image or nothing. data/README.md has the tables.
"""

from __future__ import annotations

import os
import struct
from typing import IO, List, Sequence, Tuple

import numpy as np

MAGIC = 0xCED7230A
PART = struct.Struct("<II")
HEADER = struct.Struct("<IfQQ")  # flag (number of labels behind the header), label, record number, unused
WHOLE, FIRST, MIDDLE, LAST = range(4)
MAX_LENGTH = (1 << 29) - 1  # bytes of a part
_MAGIC_BYTES = MAGIC.to_bytes(4, "little")


def pack(labels: Sequence[float], number: int, image: bytes = b"") -> bytes:
    """The payload of record `number`. One label is stored in the header, several behind it."""
    if len(labels) == 1:
        return HEADER.pack(0, labels[0], number, 0) + image
    return HEADER.pack(len(labels), 0.0, number, 0) + np.asarray(labels, "<f4").tobytes() + image


def unpack(payload: bytes) -> Tuple[np.ndarray, bytes]:
    """Split a payload into its labels (float32, at least one) and its image.

    Raises ValueError if the payload is shorter than it states.
    """
    if len(payload) < HEADER.size:
        raise ValueError(f"{len(payload)} bytes are too few for a record header ({HEADER.size})")
    flag, label, _, _ = HEADER.unpack_from(payload)
    if flag == 0:
        return np.asarray([label], np.float32), payload[HEADER.size :]
    end = HEADER.size + 4 * flag
    if len(payload) < end:
        raise ValueError(f"{len(payload)} bytes are too few for {flag} labels")
    return np.frombuffer(payload, "<f4", flag, HEADER.size), payload[end:]


def write_record(stream: IO[bytes], payload: bytes) -> None:
    """Append one record."""
    if len(payload) > MAX_LENGTH:
        raise ValueError(f"a record of {len(payload)} bytes; the format allows {MAX_LENGTH}")
    start, place = 0, payload.find(_MAGIC_BYTES)
    while place >= 0:
        if place % 4 == 0:
            _write_part(stream, MIDDLE if start else FIRST, payload[start:place])
            start = place + 4
        place = payload.find(_MAGIC_BYTES, max(place + 1, start))
    _write_part(stream, LAST if start else WHOLE, payload[start:])


def _write_part(stream: IO[bytes], kind: int, data: bytes) -> None:
    stream.write(PART.pack(MAGIC, kind << 29 | len(data)))
    stream.write(data)
    stream.write(bytes(-len(data) % 4))


def read_record(descriptor: int, offset: int) -> Tuple[np.ndarray, bytes]:
    """Labels and image of the record at `offset`. Several threads may read from one descriptor.

    Raises ValueError, without the file's name, if there is no complete record.
    """
    parts: List[bytes] = []
    while True:
        head = os.pread(descriptor, PART.size, offset)
        magic, word = PART.unpack(head) if len(head) == PART.size else (0, 0)
        kind, length = word >> 29, word & MAX_LENGTH
        if magic != MAGIC or (kind in (WHOLE, FIRST)) != (not parts):
            raise ValueError(f"no record at offset {offset}")
        part = os.pread(descriptor, length, offset + PART.size)
        if len(part) != length:
            raise ValueError(f"the file ends inside the record at offset {offset}")
        parts.append(part)
        if kind in (WHOLE, LAST):
            return unpack(_MAGIC_BYTES.join(parts))
        offset += PART.size + (length + 3) // 4 * 4
