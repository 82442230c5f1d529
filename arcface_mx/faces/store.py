"""The `.npz` files of embeddings and galleries: the fields of a NamedTuple."""

from __future__ import annotations

import zipfile
from typing import Any, Dict

import numpy as np

from arcface_mx.util.errors import UserError
from arcface_mx.util.files import atomic_write
from arcface_mx.util.npz import ERRORS, one_line, read_array, write_archive

SCALARS = ("model", "flip", "align", "engine")
KINDS = {"vectors": "f", "align": "b", "faces": "i"}  # kinds of NumPy types; others are texts


def write_fields(path: str, value: Any) -> None:
    """Write the fields of a NamedTuple as a `.npz`, whole or not at all. Raises UserError if the disk is full."""
    try:
        with atomic_write(path) as stream:
            write_archive(stream, value._asdict())
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror}; nothing of it was kept") from None


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
            values: Dict[str, Any] = {name: read_array(archive, name, KINDS.get(name, "U"), mapped) for name in fields}
        _check_fields(values)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; make it with {command}") from None
    except ERRORS as error:
        raise UserError(f"{path}: is not {kind} of {command} ({one_line(error)})") from error
    values.update({name: values[name].item() for name in SCALARS if name in values})
    return values


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
