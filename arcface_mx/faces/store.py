"""The `.npz` files of embeddings and galleries: the fields of a NamedTuple, read without pickle."""

from __future__ import annotations

import zipfile
from typing import Any, Dict, Sequence

import numpy as np

from arcface_mx.util.errors import UserError
from arcface_mx.util.files import atomic_write


def write_fields(path: str, value: Any) -> None:
    """Write the fields of a NamedTuple as a `.npz`, whole or not at all."""
    with atomic_write(path) as stream:
        np.savez(stream, **value._asdict())


def read_fields(path: str, fields: Sequence[str], kind: str, command: str) -> Dict[str, Any]:
    """Read the fields of a `.npz` by name: "model" and "flip" as str, "align" as bool.

    Raises UserError if the file is not a `kind`. The message names `command`, which writes such files.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            values = {name: stored[name] for name in fields}
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; make it with {command}") from None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{path}: is not {kind} of {command} ({error})") from error
    values.update(model=str(values["model"]), flip=str(values["flip"]), align=bool(values["align"]))
    return values
