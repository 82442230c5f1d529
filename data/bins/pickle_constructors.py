"""The constructors that published verification sets mention, done on spans instead of values.

A pickle calls these by name. Nothing is imported or called: `CONSTRUCTORS` says what each name's
call amounts to. `read_text(span)` gives a short string's characters.
"""

from __future__ import annotations

from dataclasses import replace
from typing import IO, Any, Callable, Dict, Tuple

from arcface_mx.data.bins.pickle_values import DTYPES, Array, Dtype, InvalidPickle, Name, Span, array_values

Arguments = Tuple[Any, ...]
ReadText = Callable[[Any], str]

NDARRAY = Name("numpy", "ndarray")


def encode(stream: IO[bytes], read_text: ReadText, arguments: Arguments) -> Span:
    """_codecs.encode(text, 'latin1'): how Python 3 keeps bytes under protocol 2."""
    codings = {"text": "latin1", "escaped": "escaped latin1"}
    if len(arguments) == 2 and isinstance(arguments[0], Span) and arguments[0].coding in codings:
        if read_text(arguments[1]).replace("-", "") == "latin1":
            return replace(arguments[0], coding=codings[arguments[0].coding])
    raise InvalidPickle("an encoding other than latin1")


def byte_string(stream: IO[bytes], read_text: ReadText, arguments: Arguments) -> Span:
    """bytes(), bytearray(bytes), bytearray(text, 'latin-1')."""
    if not arguments:
        return Span(0, 0, "bytes")
    if len(arguments) == 1 and isinstance(arguments[0], Span) and arguments[0].is_bytes:
        return arguments[0]
    return encode(stream, read_text, arguments)


def dtype(stream: IO[bytes], read_text: ReadText, arguments: Arguments) -> Dtype:
    """numpy.dtype('u1', False, True)."""
    code = read_text(arguments[0]) if arguments else ""
    if code not in DTYPES:
        raise InvalidPickle(f"a numpy array of type {code!r}")
    return Dtype(code)


def scalar(stream: IO[bytes], read_text: ReadText, arguments: Arguments) -> int:
    """numpy's scalar(dtype, bytes), as published in lists of numpy.bool_."""
    if len(arguments) != 2 or not isinstance(arguments[0], Dtype) or not isinstance(arguments[1], Span):
        raise InvalidPickle("a numpy scalar of an unknown kind")
    if arguments[1].length > 64:  # 8 bytes, in protocol 0 written as \u0000 each
        raise InvalidPickle(f"a numpy scalar of {arguments[1].length} bytes")
    try:
        return int(array_values(stream, Array(arguments[0], (1,), arguments[1]))[0])
    except ValueError as error:
        raise InvalidPickle(f"a numpy scalar that is not well-formed: {error}") from None


def reconstruct(stream: IO[bytes], read_text: ReadText, arguments: Arguments) -> Array:
    """numpy's _reconstruct(ndarray, (0,), b'b'): an array whose state comes later."""
    if not arguments or arguments[0] != NDARRAY:
        raise InvalidPickle("an array class other than numpy's own")
    return Array()


def from_buffer(stream: IO[bytes], read_text: ReadText, arguments: Arguments) -> Array:
    """numpy's _frombuffer(bytes, dtype, shape, order), from protocol 5 on."""
    if len(arguments) != 4:
        raise InvalidPickle("a numpy array of an unknown kind")
    array = Array()
    fill(array, shape=arguments[2], dtype=arguments[1], values=arguments[0])
    return array


def fill(array: Array, shape: Any, dtype: Any, values: Any) -> None:
    """Give an array its state. Only flat arrays of bytes, booleans and whole numbers are let in."""
    if not isinstance(shape, tuple) or not all(type(size) is int and size >= 0 for size in shape):
        raise InvalidPickle("a numpy array without a shape")
    if sum(size != 1 for size in shape) > 1:
        raise InvalidPickle(
            f"a numpy array of shape {'×'.join(str(size) for size in shape)}; images must be encoded (JPEG or PNG), not decoded pixels"
        )
    if not isinstance(dtype, Dtype) or not isinstance(values, Span) or not values.is_bytes:
        raise InvalidPickle("a numpy array of an unknown kind")
    array.dtype, array.shape, array.values = dtype, shape, values


CONSTRUCTORS: Dict[Name, Callable[[IO[bytes], ReadText, Arguments], Any]] = {
    Name("_codecs", "encode"): encode,
    Name("builtins", "bytes"): byte_string,
    Name("builtins", "bytearray"): byte_string,
    Name("__builtin__", "bytes"): byte_string,
    Name("__builtin__", "bytearray"): byte_string,
    Name("numpy", "dtype"): dtype,
}
for core in ("numpy.core", "numpy._core"):
    CONSTRUCTORS[Name(core + ".multiarray", "scalar")] = scalar
    CONSTRUCTORS[Name(core + ".multiarray", "_reconstruct")] = reconstruct
    CONSTRUCTORS[Name(core + ".numeric", "_frombuffer")] = from_buffer
