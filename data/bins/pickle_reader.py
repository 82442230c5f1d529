"""Read a pickle as data: lists, tuples, strings, booleans, whole numbers and NumPy arrays of them.

A pickle is a program for a stack machine. `pickle.load` lets that program import and call
anything. The machine here carries out the opcodes that verification sets need, as `pickletools`
describes them, and refuses all others. It imports nothing: each constructor that such sets name
is replaced by a function of this file. Strings stay in the file, so memory does not grow with
the images. Protocols 0 to 5 are read, as written by Python 2 or 3.
"""

from __future__ import annotations

import codecs
import io
import os
import pickletools
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Tuple, Union

import numpy as np

from arcface_mx.util.errors import UserError

MAX_NAME = 64  # bytes of a name, of a scalar, and of a line with a number
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
NUMBERS = {"INT", "LONG", "LONG1", "LONG4", "BININT", "BININT1", "BININT2"}
TEXTS = {"UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"}
STRINGS = TEXTS | {"STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"}
OPCODES = {opcode.code.encode("latin-1"): opcode for opcode in pickletools.opcodes}
DTYPES = {"b1": "u1", "u1": "u1", "i1": "i1", "i4": "<i4", "i8": "<i8"}


class InvalidPickle(ValueError):
    """The program is not one that writes a verification set."""


class String(NamedTuple):
    """A string in the file. `PickleFile.load` reads it."""

    position: int  # of its opcode
    length: int
    is_text: bool
    short: bytes  # the string itself if it has at most MAX_NAME bytes, else empty

    @property
    def name(self) -> str:
        return self.short.decode("ascii")


class PickleFile(io.BufferedReader):
    """A pickle, in a file or in bytes, as a sequence of opcodes. The lengths that it states are not trusted."""

    def __init__(self, source: Union[str, bytes]) -> None:
        if isinstance(source, bytes):
            super().__init__(io.BytesIO(source))  # type: ignore[arg-type]
            self.size = len(source)
        else:
            super().__init__(io.FileIO(source))
            self.size = os.fstat(self.fileno()).st_size

    def read(self, count: Optional[int] = -1) -> bytes:
        return super().read(min(count or 0, self.size))

    def operation(self) -> Tuple[str, Any]:
        """Name and argument of the opcode at the current position. Strings are given as bytes."""
        opcode = OPCODES.get(self.read(1))
        if opcode is None:
            raise InvalidPickle("no opcode; the file is empty, truncated or of another kind")
        if opcode.name in ("INT", "LONG", "GET", "PUT"):  # older Pythons take quadratic time for a long number
            line = self.readline(MAX_NAME)
            if not line.endswith(b"\n"):
                raise InvalidPickle(f"a number of more than {MAX_NAME} characters, or without end")
            self.seek(-len(line), os.SEEK_CUR)
        if opcode.name == "STRING":  # pickletools would decode it as ASCII
            quoted = pickletools.read_stringnl(self, decode=False)  # type: ignore[attr-defined]
            return opcode.name, codecs.escape_decode(quoted)[0]  # type: ignore[attr-defined]
        argument: Any = opcode.arg.reader(self) if opcode.arg else None
        if opcode.name in STRINGS:
            argument = argument.encode("latin-1") if isinstance(argument, str) else bytes(argument)
        return opcode.name, argument

    def load(self, string: String) -> bytes:
        """The bytes of a string. Raises ValueError if the file has changed."""
        self.seek(string.position)
        value = self.operation()[1] if string.length else b""
        if not isinstance(value, bytes) or len(value) != string.length:
            raise ValueError("the file changed while it was read")
        return value


def read_pickle(path: str) -> Any:
    """Return the object in the file, its strings as `String` and its arrays as `Array`.

    Raises UserError, with the file, the byte position and the reason, if it is not plain data.
    """
    expected = "a verification set: a pickle of images and booleans"
    try:
        with PickleFile(path) as file:
            return run_pickle(file, StackMachine(CONSTRUCTORS), path, expected)
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error


def run_pickle(file: PickleFile, machine: StackMachine, path: str, expected: str) -> Any:
    """Carry out a pickle's opcodes and return its object. Raises UserError, which says what was `expected`."""
    name, position = "", 0
    try:
        for _ in range(250_000 + file.size // 16):  # a verification set has 5 to 20 opcodes per image
            position = file.tell()
            name, argument = file.operation()
            if name == "STOP":
                return machine.result()
            machine.execute(name, argument, position)
        raise InvalidPickle(f"more opcodes than {expected.partition(':')[0]} needs")
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        reason = str(error)[:200] if isinstance(error, ValueError) else f"opcode {name} is out of place"
        raise UserError(
            f"{path}: byte {position}: {reason} (expected {expected}; nothing in it was executed)"
        ) from None


class StackMachine:
    """The machine, with the opcodes of a verification set. Any other program ends in an exception.

    `constructors` are what the names in the pickle stand for; no other name is known.
    """

    def __init__(self, constructors: Mapping[str, Callable[..., Any]]) -> None:
        self.constructors = constructors
        self.stack: List[Any] = []
        self.marks: List[List[Any]] = []  # for each mark, the stack below it
        self.memo: Dict[int, Any] = {}

    def result(self) -> Any:
        if self.marks or len(self.stack) != 1:
            raise InvalidPickle("the pickle does not end with exactly one value")
        return self.stack[0]

    def pop(self, count: int) -> List[Any]:
        if len(self.stack) < count:
            raise InvalidPickle("a value is missing on the stack")
        values = self.stack[-count:]
        del self.stack[-count:]
        return values

    def extend(self, values: List[Any]) -> None:
        if not self.stack or not isinstance(self.stack[-1], list):
            raise InvalidPickle("values are appended to something that is not a list")
        self.stack[-1].extend(values)

    def execute(self, name: str, argument: Any, position: int) -> None:
        """Carry out one opcode."""
        stack = self.stack
        if name in STRINGS:
            short = argument if len(argument) <= MAX_NAME else b""
            stack.append(String(position, len(argument), name in TEXTS, short))
        elif name in NUMBERS:
            if argument.bit_length() > 63:
                raise InvalidPickle(f"a whole number of {argument.bit_length() // 8 + 1} bytes")
            stack.append(argument)
        elif name in CONSTANTS:
            stack.append(CONSTANTS[name])
        elif name == "EMPTY_LIST":
            stack.append([])
        elif name in ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"):
            self.memo[len(self.memo) if argument is None else argument] = stack[-1]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            stack.append(self.memo[argument])
        elif name == "MARK":
            self.marks.append(stack)
            self.stack = []
        elif name in ("LIST", "TUPLE", "APPENDS", "POP_MARK"):
            self.stack = self.marks.pop()
            if name == "APPENDS":
                self.extend(stack)
            elif name != "POP_MARK":
                self.stack.append(stack if name == "LIST" else tuple(stack))
        elif name == "APPEND":
            self.extend(self.pop(1))
        elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            stack.append(tuple(self.pop(int(name[-1]))))
        elif name == "POP":
            self.pop(1)
        elif name in ("GLOBAL", "STACK_GLOBAL"):
            path = argument or " ".join(string.name for string in self.pop(2))
            if path not in self.constructors:
                raise InvalidPickle(f"it asks for {path.replace(' ', '.')}")
            stack.append(self.constructors[path])
        elif name == "REDUCE":
            constructor, arguments = self.pop(2)
            if constructor not in self.constructors.values():
                raise InvalidPickle("a call of a value that is not a known constructor")
            stack.append(constructor(*arguments))
        elif name == "BUILD":
            target, state = self.pop(2)
            if not isinstance(target, (Array, Dtype)):
                raise InvalidPickle("a state is set on a value that is not a numpy array")
            target.set_state(*state)
            stack.append(target)
        elif name not in ("PROTO", "FRAME"):
            raise InvalidPickle(f"opcode {name} is not allowed")


# What the names in a pickle stand for


class Dtype(NamedTuple):
    """A type of NumPy arrays."""

    code: str

    def set_state(self, version: int, order: String, *rest: object) -> None:
        if order.name == ">" and not self.code.endswith("1"):
            raise InvalidPickle("a big-endian numpy array")


class Array:
    """A flat NumPy array, whose values stay in the file."""

    code = "u1"  # of its type
    values = String(0, 0, False, b"")

    def set_state(self, version: int, shape: Tuple[int, ...], dtype: Dtype, is_fortran: bool, values: String) -> None:
        if any(type(size) is not int for size in shape):
            raise InvalidPickle("a numpy array without a shape")
        if sum(size != 1 for size in shape) > 1:
            text = "×".join(map(str, shape))
            raise InvalidPickle(f"a numpy array of shape {text}; images must be encoded (JPEG or PNG), not pixels")
        self.code, self.values = dtype.code, _byte_string(values)


def _byte_string(value: String = Array.values, coding: Optional[String] = None) -> String:
    if value.is_text and (coding is None or coding.name.replace("-", "") != "latin1"):
        raise InvalidPickle("an encoding other than latin1")
    return value._replace(is_text=False)


def _dtype(code: String, *rest: object) -> Dtype:
    if code.name not in DTYPES:
        raise InvalidPickle(f"a numpy array of type {code.name!r}")
    return Dtype(DTYPES[code.name])


def _scalar(dtype: Dtype, value: String) -> int:
    (number,) = np.frombuffer(value.short, dtype.code).tolist()
    return number


def _ndarray(*arguments: object) -> Array:
    raise InvalidPickle("a call of numpy.ndarray")


def _empty_array(kind: Any, *rest: object) -> Array:
    if kind is not _ndarray:
        raise InvalidPickle("an array class other than numpy's own")
    return Array()


def _full_array(values: String, dtype: Dtype, shape: Tuple[int, ...], order: String) -> Array:
    array = Array()
    array.set_state(1, shape, dtype, False, values)
    return array


CONSTRUCTORS: Dict[str, Callable[..., Any]] = {
    "_codecs encode": _byte_string,
    "numpy dtype": _dtype,
    "numpy ndarray": _ndarray,
    **{f"{module} {name}": _byte_string for module in ("builtins", "__builtin__") for name in ("bytes", "bytearray")},
    **{f"numpy.{core}.multiarray _reconstruct": _empty_array for core in ("core", "_core")},
    **{f"numpy.{core}.multiarray scalar": _scalar for core in ("core", "_core")},
    **{f"numpy.{core}.numeric _frombuffer": _full_array for core in ("core", "_core")},
}
