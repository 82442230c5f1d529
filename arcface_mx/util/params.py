"""MXNet's `.params` files written and read in Python, with a checksum of every array.

`mx.nd.load` reads what stands here, and what `mx.nd.save` wrote is read here; but MXNet's own reader
allocates whatever a damaged size says and sees no flipped bit, its writer no full disk. The layout,
little-endian: 0x112, a word that MXNet does not look at, the number of arrays (8 bytes each); the
arrays, each a head (magic, storage, shape, device, type) and its values; the number of names, and
each name with its length. Files written here have MARK in that word and go on after the names with
the checksums (JSON), the SHA-256 of that JSON, and its length: MXNet stops reading before them.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
from typing import IO, Any, Dict, List, Mapping, NamedTuple, Optional, Tuple

import numpy as np

from arcface_mx.util.errors import UserError

LIST_MAGIC, MARK = 0x112, int.from_bytes(b"arcface1", "little")
V1, V2, V3 = 0xF993FAC8, 0xF993FAC9, 0xF993FACA  # of an array; older files have its number of sides there
DENSE = 0
TYPES = tuple(np.dtype(code) for code in ("<f4", "<f8", "<f2", "<u1", "<i4", "<i1", "<i8", "?"))  # MXNet's numbers 0…7
MAX_SIDES, MAX_ARRAYS = 32, 100_000
_HEAD, _END = struct.Struct("<QQQ"), struct.Struct("<32sQ")


class ArrayFile(NamedTuple):
    """What a file holds. digest: of its checksums, so of all of it; None where the file has none."""

    arrays: Dict[str, np.ndarray]
    digest: Optional[str]
    facts: Dict[str, Any]  # what the writer noted beside the arrays


class CorruptFile(Exception):
    """The reason why a file is refused, without its name."""


def write_arrays(stream: IO[bytes], arrays: Mapping[str, Any], facts: Optional[Mapping[str, Any]] = None) -> str:
    """Write NDArrays or numpy arrays by name into a new file; returns the digest of its checksums.

    facts: JSON values that are kept, and guarded, with the arrays. One array is held at a time.
    """
    frame, spans = hashlib.sha256(), []
    _put(stream, frame, _HEAD.pack(LIST_MAGIC, MARK, len(arrays)))
    offset = _HEAD.size
    for name, array in arrays.items():
        head, values = _packed(array)
        digest = hashlib.sha256(head)
        stream.write(head)
        _put(stream, digest, values)
        spans.append([name, offset, len(head) + len(values), digest.hexdigest()])
        offset += len(head) + len(values)
    _put(stream, frame, struct.pack("<Q", len(arrays)))
    for name in arrays:
        text = name.encode()
        _put(stream, frame, struct.pack("<Q", len(text)) + text)
    note = {"arrays": spans, "frame": frame.hexdigest(), "facts": dict(facts or {})}
    packed = json.dumps(note, sort_keys=True).encode()
    digest = hashlib.sha256(packed)
    stream.write(packed + _END.pack(digest.digest(), len(packed)))
    return digest.hexdigest()


def _put(stream: IO[bytes], digest: Any, data: Any) -> None:
    digest.update(data)
    stream.write(data)


def _packed(array: Any) -> Tuple[bytes, memoryview]:
    values: Any = np.ascontiguousarray(array if isinstance(array, np.ndarray) else array.asnumpy())
    values = values.reshape(np.shape(array) or (1,))
    kind = TYPES.index(values.dtype)
    shape = struct.pack(f"<i{values.ndim}q", values.ndim, *values.shape)
    return struct.pack("<Ii", V2, DENSE) + shape + struct.pack("<iii", 1, 0, kind), memoryview(values.reshape(-1)).cast(
        "B"
    )


def read_arrays(path: str) -> ArrayFile:
    """Read a `.params` file, ours or MXNet's of any version.

    Raises UserError where a checksum differs, naming the array, where the file is cut off, and where
    it holds no named dense arrays. Memory: the arrays and nothing else of their size.
    """
    try:
        with open(path, "rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            note, digest = _check(stream, size)
            arrays = _parse(stream, size)
            if not arrays:
                raise CorruptFile("holds no arrays: empty or damaged")
            if digest is None and stream.tell() != size:
                raise CorruptFile(f"{size - stream.tell()} bytes follow its last name: damaged, or no MXNet parameters")
    except CorruptFile as reason:
        raise UserError(f"{path}: {reason}") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    return ArrayFile(arrays, digest, note.get("facts", {}))


def _check(stream: IO[bytes], size: int) -> Tuple[Dict[str, Any], Optional[str]]:
    """The checksums of a file that has them, all compared; ({}, None) where MXNet wrote it."""
    head = stream.read(_HEAD.size)
    if len(head) < _HEAD.size:
        raise CorruptFile(f"cannot be read as MXNet parameters: {size} bytes, empty or cut off")
    magic, mark, _ = _HEAD.unpack(head)
    if magic != LIST_MAGIC:
        raise CorruptFile("cannot be read as MXNet parameters: it does not begin as they do")
    if mark == 0:
        return {}, None
    if mark != MARK:
        raise CorruptFile("its first bytes are damaged")
    note, digest, end = _checksums(stream, size)
    frame, offset = hashlib.sha256(head), _HEAD.size
    for name, start, length, expected in note["arrays"]:
        if start != offset or _hash(stream, start, length, hashlib.sha256()) != expected:
            raise CorruptFile(
                f"array {name} differs from its checksum: damaged; copy the file again or take another checkpoint"
            )
        offset += length
    if _hash(stream, offset, end - offset, frame) != note["frame"]:
        raise CorruptFile(_damaged_name(stream, offset, [entry[0] for entry in note["arrays"]]))
    return note, digest


def _checksums(stream: IO[bytes], size: int) -> Tuple[Dict[str, Any], str, int]:
    """The JSON at the end, its digest, and where it begins."""
    cut = "is cut off or its list of checksums is damaged"
    if size < _HEAD.size + _END.size:
        raise CorruptFile(cut)
    expected, length = _END.unpack(_at(stream, size - _END.size, _END.size))
    start = size - _END.size - length
    if start < _HEAD.size:
        raise CorruptFile(cut)
    packed = _at(stream, start, length)
    if hashlib.sha256(packed).digest() != expected:
        raise CorruptFile(cut)
    try:
        note = json.loads(packed.decode())
        for name, begin, extent, digest in note["arrays"]:
            if not (type(begin) is type(extent) is int and 0 <= extent and begin + extent <= start):
                raise CorruptFile(f"its list of checksums says nonsense of array {name}")
        return {"arrays": note["arrays"], "frame": note["frame"], "facts": note["facts"]}, expected.hex(), start
    except (ValueError, KeyError, TypeError, RecursionError):
        raise CorruptFile("its list of checksums is not well-formed") from None


def _at(stream: IO[bytes], start: int, length: int) -> bytes:
    stream.seek(start)
    return stream.read(length)


def _hash(stream: IO[bytes], start: int, length: int, digest: Any) -> str:
    stream.seek(start)
    while length:
        block = stream.read(min(length, 1 << 20))
        if not block:
            return "cut off"
        digest.update(block)
        length -= len(block)
    return str(digest.hexdigest())


def _damaged_name(stream: IO[bytes], offset: int, names: List[str]) -> str:
    stream.seek(offset + 8)
    for name in names:
        text = name.encode()
        if stream.read(8 + len(text)) != struct.pack("<Q", len(text)) + text:
            return f"the name of array {name} differs from its checksum: damaged"
    return "its first bytes or the number of its names are damaged"


class _Reader:
    """Numbers and values from a stream, never beyond the file's end."""

    def __init__(self, stream: IO[bytes], size: int) -> None:
        self.stream, self.size = stream, size

    def take(self, form: str, what: str) -> Tuple[Any, ...]:
        length = struct.calcsize("<" + form)
        raw = self.stream.read(length)
        if len(raw) < length:
            raise CorruptFile(f"cannot be read as MXNet parameters: the file ends inside {what}")
        return struct.unpack("<" + form, raw)

    def left(self) -> int:
        return self.size - self.stream.tell()


def _parse(stream: IO[bytes], size: int) -> Dict[str, np.ndarray]:
    reader = _Reader(stream, size)
    stream.seek(_HEAD.size - 8)
    count = reader.take("Q", "its head")[0]
    if count > min(MAX_ARRAYS, reader.left()):
        raise CorruptFile(f"cannot be read as MXNet parameters: it says {count} arrays, and holds {size} bytes")
    values = [_array(reader, f"array {number + 1} of {count}") for number in range(count)]
    named = reader.take("Q", "its names")[0]
    if named != count:
        raise CorruptFile(
            "its arrays have no names; it is not a model's parameter file"
            if not named
            else f"cannot be read as MXNet parameters: {named} names for {count} arrays"
        )
    arrays: Dict[str, np.ndarray] = {}
    for value in values:
        length = reader.take("Q", "its names")[0]
        if length > min(reader.left(), 4096):
            raise CorruptFile(f"cannot be read as MXNet parameters: a name of {length} bytes")
        raw = stream.read(length)
        name = raw.decode("utf-8", "replace")
        if name in arrays or name.encode() != raw:
            raise CorruptFile(f"cannot be read as MXNet parameters: the name {name!r} is damaged or stands twice")
        arrays[name] = value
    return arrays


def _array(reader: _Reader, what: str) -> np.ndarray:
    magic = reader.take("I", what)[0]
    if magic in (V2, V3) and reader.take("i", what)[0] != DENSE:
        raise CorruptFile(f"{what} is sparse; save it dense")
    new = magic in (V1, V2, V3)
    sides = reader.take("i", what)[0] if new else magic
    if not 0 < sides <= MAX_SIDES and not (magic == V3 and sides == 0):
        raise CorruptFile(f"cannot be read as MXNet parameters: {what} has {sides} sides")
    shape = reader.take(f"{sides}{('q' if new else 'I')}", what)
    _, _, kind = reader.take("iii", what)
    if not 0 <= kind < len(TYPES):
        raise CorruptFile(f"cannot be read as MXNet parameters: {what} has the unknown type {kind}")
    count = 1
    for side in shape:
        count *= side
    if min(shape, default=1) < 1 or count * TYPES[kind].itemsize > reader.left():
        raise CorruptFile(
            f"cannot be read as MXNet parameters: {what} has shape {shape}, but {reader.left()} bytes are left"
        )
    return np.fromfile(reader.stream, TYPES[kind], count).reshape(shape)
