"""Archives of NumPy arrays (`.npz`), read without pickle and in bounded memory.

Arrays are stored without compression and start at multiples of ALIGNMENT bytes, so that large ones can be mapped
into memory instead of being read.
"""

from __future__ import annotations

import math
import struct
import zipfile
import zlib
from typing import IO, Any, Mapping

import numpy as np

ALIGNMENT = 64
PADDING = 0xD935  # type of the zip record that pads an entry; Android's zipalign writes the same
LOCAL_HEADER = 30  # bytes of a zip entry before its name
ZIP64_BYTES = 20  # of the record that `force_zip64` adds
MAPPED_BYTES = 1 << 26  # arrays of this size and above are mapped, where a caller allows it
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


def write_archive(stream: IO[bytes], fields: Mapping[str, Any]) -> None:
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


def read_array(archive: zipfile.ZipFile, name: str, kinds: str, mapped: bool = False) -> np.ndarray:
    """Read or map an array that is stored without compression, so that it is not larger than the file.

    `kinds` are the letters of the kinds of NumPy types that it may have. Raises ValueError or another of ERRORS.
    """
    entry = archive.getinfo(f"{name}.npy")
    if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size:
        raise ValueError(f"{name} is compressed; save it with numpy.savez")
    with archive.open(entry) as stream:
        version = np.lib.format.read_magic(stream)
        if version not in READ_HEADER:
            raise ValueError(f"{name} has the unknown format {version}")
        shape, in_columns, dtype = READ_HEADER[version](stream)
        header = stream.tell()
    if dtype.hasobject or dtype.kind not in kinds:
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


def one_line(error: BaseException) -> str:
    """The first line of an error's message, in at most 200 characters."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
