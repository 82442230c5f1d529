"""MXNet's `.params` files, read and written in Python, with a checksum of every array.

`mx.nd.load` reads the files written here, and files by `mx.nd.save` are read here. This module
exists because MXNet's own reader allocates whatever size a damaged file states and does not notice
changed bits, and its writer does not report a full disk.

A file consists of little-endian fields:

- 0x112, a mark that MXNet ignores, and the number of arrays (8 bytes each);
- each array: a head (magic number, storage type, shape, device, data type) and its values;
- the number of names, and each name after its length.

In files written here, the mark is MARK, and three more parts follow the names: the checksums
(JSON), the SHA-256 of that JSON, and its length. MXNet stops reading before them.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import struct
from typing import IO, Any, Dict, List, Mapping, NamedTuple, Optional, Tuple

import numpy as np

from arcface_mx.util.errors import UserError
from arcface_mx.util.json_form import check_form

LIST_MAGIC, MARK = 0x112, int.from_bytes(b"arcface1", "little")
V1, V2, V3 = 0xF993FAC8, 0xF993FAC9, 0xF993FACA  # older files have the number of axes there
DENSE = 0
TYPES = tuple(np.dtype(code) for code in ("<f4", "<f8", "<f2", "<u1", "<i4", "<i1", "<i8", "?"))  # MXNet's order
MAX_NDIM, MAX_ARRAYS, MAX_NAME = 32, 100_000, 4096
NOT_PARAMS = "cannot be read as MXNet parameters: "
_HEAD, _END = struct.Struct("<QQQ"), struct.Struct("<32sQ")


class ArrayFile(NamedTuple):
    """The content of a file."""

    arrays: Dict[str, np.ndarray]
    digest: Optional[str]  # of the checksums, therefore of the whole file; None if the file has none
    facts: Dict[str, Any]  # what the writer noted beside the arrays


class CorruptFile(Exception):
    """The reason why a file is refused, without its name."""


def write_arrays(stream: IO[bytes], arrays: Mapping[str, Any], facts: Optional[Mapping[str, Any]] = None) -> str:
    """Write NDArrays or NumPy arrays by name into a new file; returns the digest of its checksums.

    `facts` are JSON values that are stored with the arrays and covered by the digest. Memory holds
    one array at a time.
    """
    frame, spans = hashlib.sha256(), []
    _put(stream, frame, _HEAD.pack(LIST_MAGIC, MARK, len(arrays)))
    offset = _HEAD.size
    for name, array in arrays.items():
        head, values = _pack(array)
        digest = hashlib.sha256()
        _put(stream, digest, head)
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


def _pack(array: Any) -> Tuple[bytes, memoryview]:
    """Return the head and the values of an array."""
    values: Any = np.ascontiguousarray(array if isinstance(array, np.ndarray) else array.asnumpy())
    values = values.reshape(np.shape(array) or (1,))
    kind = TYPES.index(values.dtype)
    shape = struct.pack(f"<i{values.ndim}q", values.ndim, *values.shape)
    head = struct.pack("<Ii", V2, DENSE) + shape + struct.pack("<iii", 1, 0, kind)
    return head, memoryview(values.reshape(-1)).cast("B")


def read_arrays(path: str) -> ArrayFile:
    """Read a `.params` file, written here or by any version of MXNet.

    Raises UserError if a checksum differs (the message names the array), if the file is cut off, or
    if it does not hold named dense arrays. Memory holds the arrays and nothing else of their size.
    """
    try:
        with open(path, "rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            facts, digest = _check(stream, size)
            arrays = _read_arrays(_Reader(stream, size))
            if not arrays:
                raise CorruptFile("holds no arrays: empty or damaged")
            if digest is None and stream.tell() != size:
                raise CorruptFile(f"{size - stream.tell()} bytes follow its last name: damaged, or no MXNet parameters")
    except CorruptFile as reason:
        raise UserError(f"{path}: {reason}") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    return ArrayFile(arrays, digest, facts)


def _check(stream: IO[bytes], size: int) -> Tuple[Dict[str, Any], Optional[str]]:
    """Compare all checksums; returns (facts, digest), or ({}, None) for a file that MXNet wrote."""
    head = stream.read(_HEAD.size)
    if len(head) < _HEAD.size:
        raise CorruptFile(f"{NOT_PARAMS}{size} bytes, empty or cut off")
    magic, mark, _ = _HEAD.unpack(head)
    if magic != LIST_MAGIC:
        raise CorruptFile(f"{NOT_PARAMS}it does not begin with the bytes of such a file")
    if mark == 0:
        return {}, None
    if mark != MARK:
        raise CorruptFile("its first bytes are damaged")
    note, digest, end = _read_checksums(stream, size)
    frame, offset = hashlib.sha256(head), _HEAD.size
    for name, start, length, expected in note["arrays"]:
        if start != offset or _hash(stream, start, length, hashlib.sha256()) != expected:
            raise CorruptFile(
                f"array {name} differs from its checksum: damaged; copy the file again or take another checkpoint"
            )
        offset += length
    if _hash(stream, offset, end - offset, frame) != note["frame"]:
        raise CorruptFile(_damaged_name(stream, offset, [name for name, *_ in note["arrays"]]))
    return note["facts"], digest


def _read_checksums(stream: IO[bytes], size: int) -> Tuple[Dict[str, Any], str, int]:
    """Return the JSON at the end of the file, its digest, and the offset at which it begins."""
    damaged = CorruptFile("is cut off or its list of checksums is damaged")
    if size < _HEAD.size + _END.size:
        raise damaged
    stream.seek(size - _END.size)
    expected, length = _END.unpack(stream.read(_END.size))
    start = size - _END.size - length
    if start < _HEAD.size:
        raise damaged
    stream.seek(start)
    packed = stream.read(length)
    if hashlib.sha256(packed).digest() != expected:
        raise damaged
    try:
        note = json.loads(packed.decode())
        check_form(note, {"arrays": [list], "frame": str, "facts": dict})
        for name, begin, extent, checksum in note["arrays"]:
            check_form([name, checksum], [str])
            if not (type(begin) is type(extent) is int and 0 <= extent and begin + extent <= start):
                raise CorruptFile(f"its list of checksums places array {name} outside the file")
        return {key: note[key] for key in ("arrays", "frame", "facts")}, expected.hex(), start
    except (ValueError, KeyError, TypeError, RecursionError):
        raise CorruptFile("its list of checksums is not well-formed") from None


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
    """Reads numbers from a stream and never beyond the end of the file."""

    def __init__(self, stream: IO[bytes], size: int) -> None:
        self.stream, self._size = stream, size

    def take(self, form: str, what: str) -> Tuple[Any, ...]:
        """Return the numbers of a struct format; messages say that `what` is being read."""
        length = struct.calcsize("<" + form)
        raw = self.stream.read(length)
        if len(raw) < length:
            raise CorruptFile(f"{NOT_PARAMS}the file ends inside {what}")
        return struct.unpack("<" + form, raw)

    def left(self) -> int:
        """Return the number of bytes to the end of the file."""
        return self._size - self.stream.tell()


def _read_arrays(reader: _Reader) -> Dict[str, np.ndarray]:
    reader.stream.seek(_HEAD.size - 8)
    (count,) = reader.take("Q", "its head")
    if count > min(MAX_ARRAYS, reader.left()):
        raise CorruptFile(f"{NOT_PARAMS}it states {count} arrays, but only {reader.left()} bytes follow")
    values = [_read_array(reader, f"array {number + 1} of {count}") for number in range(count)]
    (named,) = reader.take("Q", "its names")
    if not named and count:
        raise CorruptFile("its arrays have no names; it is not a model's parameter file")
    if named != count:
        raise CorruptFile(f"{NOT_PARAMS}{named} names for {count} arrays")
    arrays: Dict[str, np.ndarray] = {}
    for value in values:
        (length,) = reader.take("Q", "its names")
        if length > min(reader.left(), MAX_NAME):
            raise CorruptFile(f"{NOT_PARAMS}a name of {length} bytes")
        raw = reader.stream.read(length)
        name = raw.decode("utf-8", "replace")
        if name in arrays or name.encode() != raw:
            raise CorruptFile(f"{NOT_PARAMS}the name {name!r} is damaged or occurs twice")
        arrays[name] = value
    return arrays


def _read_array(reader: _Reader, what: str) -> np.ndarray:
    (magic,) = reader.take("I", what)
    if magic in (V2, V3) and reader.take("i", what)[0] != DENSE:
        raise CorruptFile(f"{what} is sparse; save it dense")
    is_old = magic not in (V1, V2, V3)
    ndim = magic if is_old else reader.take("i", what)[0]
    if not 0 < ndim <= MAX_NDIM and not (magic == V3 and ndim == 0):
        raise CorruptFile(f"{NOT_PARAMS}{what} has {ndim} axes")
    shape = reader.take(f"{ndim}{'I' if is_old else 'q'}", what)
    _, _, kind = reader.take("iii", what)
    if not 0 <= kind < len(TYPES):
        raise CorruptFile(f"{NOT_PARAMS}{what} has the unknown data type {kind}")
    count = math.prod(shape)
    if min(shape, default=1) < 1 or count * TYPES[kind].itemsize > reader.left():
        raise CorruptFile(f"{NOT_PARAMS}{what} has shape {shape}, but only {reader.left()} bytes follow")
    return np.fromfile(reader.stream, TYPES[kind], count).reshape(shape)
