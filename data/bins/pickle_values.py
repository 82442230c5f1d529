"""What a pickle read as data may hold: strings as spans of the file, names, numpy arrays."""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from typing import IO, Any, Optional, Tuple

import numpy as np

DTYPES = {"b1": "|u1", "u1": "|u1", "i1": "|i1", "i4": "<i4", "i8": "<i8"}


@dataclass(frozen=True)
class Span:
    """A string in the file. coding: how its bytes there become the string's value."""

    offset: int
    length: int
    coding: str  # "bytes", "text" (UTF-8), "latin1" (bytes kept as text), "repr", "escaped", "escaped latin1"

    @property
    def is_bytes(self) -> bool:
        return self.coding in ("bytes", "latin1", "repr", "escaped latin1")


@dataclass(frozen=True)
class Name:
    """An imported name, as text. It is never imported."""

    module: str
    attribute: str


@dataclass(frozen=True)
class Dtype:
    code: str


class Array:
    """A numpy array: its type, its shape, and where its values are."""

    def __init__(self, dtype: Optional[Dtype] = None, shape: Tuple[int, ...] = (), values: Any = None) -> None:
        self.dtype, self.shape, self.values = dtype, shape, values


class InvalidPickle(Exception):
    """The program is not one that writes a verification set."""


def read_span(stream: IO[bytes], span: Span) -> bytes:
    """The value of a string: bytes, or a text's UTF-8. Raises ValueError when it is not well-formed."""
    stream.seek(span.offset)
    raw = stream.read(span.length)
    if len(raw) != span.length:
        raise ValueError("the file ends inside it")
    if span.coding == "latin1":
        return raw.decode("utf-8", "surrogatepass").encode("latin-1")
    if span.coding == "escaped":
        return raw.decode("raw-unicode-escape").encode("utf-8")
    if span.coding == "escaped latin1":
        return raw.decode("raw-unicode-escape").encode("latin-1")
    if span.coding == "repr":
        if len(raw) < 2 or raw[:1] != raw[-1:] or raw[:1] not in b"\"'":
            raise ValueError("it has no quotes")
        return codecs.escape_decode(raw[1:-1])[0]  # type: ignore[attr-defined]
    return raw


def array_values(stream: IO[bytes], array: Array) -> np.ndarray:
    """A numpy array's values, flat. Raises ValueError when bytes and shape disagree."""
    if array.dtype is None:
        raise ValueError("it has no values")
    raw = read_span(stream, array.values)
    values = np.frombuffer(raw, DTYPES[array.dtype.code])
    if values.size != int(np.prod(array.shape, dtype=np.int64)):
        raise ValueError(f"{values.size} values for shape {array.shape}")
    return values
