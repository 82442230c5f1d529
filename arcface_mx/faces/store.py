"""The `.npz` files of embeddings and galleries: the fields of a NamedTuple, read without pickle.

Arrays are stored without compression and start at multiples of ALIGNMENT bytes, so that those of a large gallery
can be mapped into memory instead of being read.
"""

from __future__ import annotations

import math
import struct
import zipfile
import zlib
from typing import IO, Any, Dict

import numpy as np

from arcface_mx.util.errors import UserError
from arcface_mx.util.files import atomic_write

ALIGNMENT = 64
PADDING = 0xD935  # type of the zip record that pads an entry; Android's zipalign writes the same
LOCAL_HEADER = 30  # bytes of a zip entry before its name
ZIP64_BYTES = 20  # of the record that `force_zip64` adds
MAPPED_BYTES = 1 << 26  # arrays of this size and above are mapped, where a caller allows it
SCALARS = ("model", "flip", "align", "engine")
KINDS = {"vectors": "f", "align": "b", "faces": "i"}  # kinds of NumPy types; others are texts
READ_HEADER = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
# What Python's and NumPy's readers raise for damaged archives and headers.
ERRORS = (
    OSError,
    ValueError,
    KeyError,
    TypeError,
    EOFError,
    OverflowError,
    MemoryError,
    RuntimeError,
    RecursionError,
    SyntaxError,
    NotImplementedError,
    zipfile.BadZipFile,
    zlib.error,
)


def write_fields(path: str, value: Any) -> None:
    """Write the fields of a NamedTuple as a `.npz`, whole or not at all. Raises UserError if the disk is full."""
    try:
        with atomic_write(path) as stream:
            _write_archive(stream, value._asdict())
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror}; nothing of it was kept") from None


def _write_archive(stream: IO[bytes], fields: Dict[str, Any]) -> None:
    """Write arrays as `numpy.savez` does. An error of the stream is raised as it is, and not by the archive's end."""
    archive = zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED, allowZip64=True)
    try:
        for name, value in fields.items():
            entry = zipfile.ZipInfo(f"{name}.npy")
            assert archive.fp is not None
            header = LOCAL_HEADER + len(entry.filename) + ZIP64_BYTES + 4
            padding = -(archive.fp.tell() + header) % ALIGNMENT
            entry.extra = struct.pack("<HH", PADDING, padding) + bytes(padding)
            with archive.open(entry, "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asanyarray(value), allow_pickle=False)
        archive.close()
    except BaseException:
        archive.fp = None  # else its end would be written to a full disk, with another error
        raise


def read_fields(path: str, form: Any, kind: str, command: str, mapped: bool = False) -> Dict[str, Any]:
    """Read the fields of the NamedTuple `form` from a `.npz`; a field with a default may be missing.

    Memory holds no more than twice the size of the file. With `mapped`, arrays of at least MAPPED_BYTES are
    memory-mapped: they are neither read nor checked here. Raises UserError if the file is not a `kind`; the
    message names `command`, which writes such files.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            optional = set(form._field_defaults) - {name[: -len(".npy")] for name in archive.namelist()}
            fields = [name for name in form._fields if name not in optional]
            values: Dict[str, Any] = {name: _read_array(archive, name, mapped) for name in fields}
        _check_fields(values)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; make it with {command}") from None
    except ERRORS as error:
        raise UserError(f"{path}: is not {kind} of {command} ({_one_line(error)})") from error
    values.update({name: values[name].item() for name in SCALARS if name in values})
    return values


def _read_array(archive: zipfile.ZipFile, name: str, mapped: bool) -> np.ndarray:
    """Read or map an array that is stored without compression, so that it is not larger than the file."""
    entry = archive.getinfo(f"{name}.npy")
    if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size:
        raise ValueError(f"{name} is compressed; save it with numpy.savez")
    with archive.open(entry) as stream:
        version = np.lib.format.read_magic(stream)
        if version not in READ_HEADER:
            raise ValueError(f"{name} has the unknown format {version}")
        shape, in_columns, dtype = READ_HEADER[version](stream)
        header = stream.tell()
    if dtype.hasobject or dtype.kind not in KINDS.get(name, "U"):
        raise ValueError(f"{name} has the type {dtype}")
    if math.prod(shape) * dtype.itemsize > entry.file_size:
        raise ValueError(f"{name} has shape {shape}, which its {entry.file_size} bytes do not hold")
    if mapped and entry.file_size >= MAPPED_BYTES:
        start = _content_start(archive, entry) + header
        return np.memmap(str(archive.filename), dtype, "r", start, shape, "F" if in_columns else "C")
    with archive.open(entry) as stream:
        return np.lib.format.read_array(stream, allow_pickle=False)


def _content_start(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> int:
    """Return where the content of an entry starts in the file; the archive has checked the entry's header."""
    with open(str(archive.filename), "rb") as stream:
        stream.seek(entry.header_offset + 26)
        return entry.header_offset + LOCAL_HEADER + sum(struct.unpack("<HH", stream.read(4)))


def _check_fields(values: Dict[str, np.ndarray]) -> None:
    """Raise ValueError if shapes do not fit each other, or vectors are not finite."""
    vectors = values["vectors"]
    is_half = vectors.dtype == np.float16 and "names" in values  # only a gallery is stored in 16 bits
    if vectors.ndim != 2 or not (vectors.dtype == np.float32 or is_half):
        raise ValueError(f"vectors are {vectors.dtype} of shape {vectors.shape}, not float32 of two axes")
    for name, value in values.items():
        lengths = dict.fromkeys(("names", "paths", "faces", "notes"), len(vectors))
        lengths["skipped"] = len(values.get("reasons", ()))
        wanted = () if name in SCALARS else (lengths.get(name, len(value) if value.ndim else 0),)
        if name != "vectors" and value.shape != wanted:
            raise ValueError(f"{name} has shape {value.shape}, not {wanted}")
    if isinstance(vectors, np.memmap):
        return
    bad = ~np.isfinite(vectors).all(1)
    if bad.any():
        raise ValueError(f"vector {int(np.argmax(bad))} is not finite")


def _one_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
