"""Read a pickle as data: lists, tuples, byte strings, booleans, whole numbers, numpy arrays of them.

A pickle is a program for a small stack machine. `pickle.load` lets that program import and call
anything; this machine has no import and no call at all. The few callables that published
verification sets mention (`_codecs.encode`, `bytes`, `bytearray`, numpy's array constructors) are
names here, and calling one does what `pickle_constructors` says. Everything else is refused with
its position. Strings are not read but noted as spans of the file, so that memory does not grow
with the images. Protocols 0 to 5, Python 2 and 3.
"""

from __future__ import annotations

import os
import pickletools
import struct
from typing import IO, Any, Callable, Dict, List, Tuple

from arcface_mx.data.bins import pickle_constructors
from arcface_mx.data.bins.pickle_values import Array, Dtype, InvalidPickle, Name, Span, read_span
from arcface_mx.util.errors import UserError

MAX_STACK = 1 << 20
MAX_LINE = 1 << 26  # a text line of protocol 0 may hold a whole image
MAX_NAME = 64
MARK = object()
OPCODE_NAMES = {operation.code.encode("latin-1"): operation.name for operation in pickletools.opcodes}


def read_pickle(path: str) -> Any:
    """The object in the file, its strings as `Span`, its arrays as `Array`.

    Raises UserError (file, byte position, reason) on anything that is not plain data.
    """
    try:
        with open(path, "rb") as stream:
            machine = Machine(stream, os.path.getsize(path))
            try:
                return machine.run()
            except InvalidPickle as reason:
                raise UserError(
                    f"{path}: byte {machine.position}: {reason} (expected a verification set: a pickle of "
                    "images and booleans; nothing in it was executed)"
                ) from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error


class Machine:
    """The stack machine. One method or table entry an opcode; whatever is not listed is refused."""

    def __init__(self, stream: IO[bytes], size: int) -> None:
        self.stream, self.size = stream, size
        self.stack: List[Any] = []
        self.memo: Dict[int, Any] = {}
        self.position = 0  # of the opcode being executed
        # A real set takes some ten opcodes an image of hundreds of bytes.
        self.budget = 1_000_000 + size // 16

    def run(self) -> Any:
        while True:
            self.position = self.stream.tell()
            code = self.stream.read(1)
            if code == b".":
                if len(self.stack) != 1 or self.stack[0] is MARK:
                    raise InvalidPickle(f"the end comes with {len(self.stack)} values on the stack")
                return self.stack[0]
            action = OPCODES.get(code)
            if action is None:
                raise InvalidPickle(self._unlisted(code))
            self.budget -= 1
            if self.budget < 0 or len(self.stack) > MAX_STACK:
                raise InvalidPickle("more opcodes than a verification set needs")
            action(self)

    def _unlisted(self, code: bytes) -> str:
        if not code:
            return "the file ends here without the pickle's end mark: it is empty or truncated"
        return f"opcode {OPCODE_NAMES.get(code, repr(code))} is not allowed"

    # Arguments of opcodes

    def take(self, count: int) -> bytes:
        raw = self.stream.read(count)
        if len(raw) < count:
            raise InvalidPickle("the file ends inside an opcode: it is truncated")
        return raw

    def number(self, form: str) -> int:
        return int(struct.unpack("<" + form, self.take(struct.calcsize("<" + form)))[0])

    def line(self, limit: int = MAX_NAME) -> bytes:
        raw = self.stream.readline(limit + 1)
        if not raw.endswith(b"\n"):
            raise InvalidPickle(f"a line longer than {limit} bytes, or the file ends inside it")
        return raw[:-1]

    def span(self, form: str, coding: str) -> None:
        length = self.number(form)
        offset = self.stream.tell()
        if not 0 <= length <= self.size - offset:
            raise InvalidPickle(f"a string of {length} bytes, but {self.size - offset} are left: truncated")
        self.stream.seek(length, os.SEEK_CUR)
        self.stack.append(Span(offset, length, coding))

    def text_line(self, coding: str) -> None:
        offset = self.stream.tell()
        self.stack.append(Span(offset, len(self.line(MAX_LINE)), coding))

    def text(self, value: Any) -> str:
        """A short string's characters."""
        if not isinstance(value, Span) or value.length > MAX_NAME:
            raise InvalidPickle("a name was expected")
        here = self.stream.tell()
        try:
            return read_span(self.stream, value).decode("ascii")
        except ValueError:
            raise InvalidPickle("a name was expected") from None
        finally:
            self.stream.seek(here)

    def decimal(self) -> None:
        raw = self.line(32)
        if raw in (b"00", b"01"):  # protocol 0's False and True
            self.stack.append(raw == b"01")
            return
        try:
            self.stack.append(int(raw.rstrip(b"L")))
        except ValueError:
            raise InvalidPickle(f"{raw!r} is not a whole number") from None

    def long(self, form: str) -> None:
        count = self.number(form)
        if not 0 <= count <= 8:
            raise InvalidPickle(f"a whole number of {count} bytes")
        self.stack.append(int.from_bytes(self.take(count), "little", signed=True))

    # Stack and memo

    def pop(self) -> Any:
        if not self.stack or self.stack[-1] is MARK:
            raise InvalidPickle("a value is missing on the stack")
        return self.stack.pop()

    def pop_many(self, count: int) -> Tuple[Any, ...]:
        return tuple(reversed([self.pop() for _ in range(count)]))

    def pop_to_mark(self) -> List[Any]:
        for place in range(len(self.stack) - 1, -1, -1):
            if self.stack[place] is MARK:
                values = self.stack[place + 1 :]
                del self.stack[place:]
                return values
        raise InvalidPickle("a mark is missing on the stack")

    def put(self, place: int) -> None:
        value = self.pop()
        self.memo[place] = value
        self.stack.append(value)

    def get(self, place: int) -> None:
        if place not in self.memo:
            raise InvalidPickle(f"memo place {place} is empty")
        self.stack.append(self.memo[place])

    def extend(self, values: List[Any]) -> None:
        target = self.pop()
        if not isinstance(target, list):
            raise InvalidPickle("items are appended to something that is not a list")
        target.extend(values)
        self.stack.append(target)

    # Names, and what calls and states make of them

    def name(self, module: str, attribute: str) -> None:
        name = Name(module, attribute)
        if name not in pickle_constructors.CONSTRUCTORS and name != pickle_constructors.NDARRAY:
            raise InvalidPickle(f"it asks for {module}.{attribute}")
        self.stack.append(name)

    def global_lines(self) -> None:
        module, attribute = self.line(), self.line()
        self.name(module.decode("utf-8", "replace"), attribute.decode("utf-8", "replace"))

    def stack_global(self) -> None:
        module, attribute = self.pop_many(2)
        self.name(self.text(module), self.text(attribute))

    def reduce(self) -> None:
        name, arguments = self.pop_many(2)
        if not isinstance(name, Name) or not isinstance(arguments, tuple) or name == pickle_constructors.NDARRAY:
            raise InvalidPickle("a call of something that is not a known constructor")
        here = self.stream.tell()
        self.stack.append(pickle_constructors.CONSTRUCTORS[name](self.stream, self.text, arguments))
        self.stream.seek(here)

    def build(self) -> None:
        target, state = self.pop_many(2)
        if isinstance(target, Array) and isinstance(state, tuple) and len(state) == 5:
            pickle_constructors.fill(target, shape=state[1], dtype=state[2], values=state[4])
        elif not isinstance(target, Dtype) or not isinstance(state, tuple) or len(state) < 2:
            raise InvalidPickle("a state is set on something that is not a numpy array")
        elif self.text(state[1]) == ">" and not target.code.endswith("1"):
            raise InvalidPickle("a big-endian numpy array")
        self.stack.append(target)


Action = Callable[[Machine], Any]
OPCODES: Dict[bytes, Action] = {
    b"\x80": lambda m: m.take(1),  # PROTO
    b"\x95": lambda m: m.take(8),  # FRAME
    b"(": lambda m: m.stack.append(MARK),
    b"0": lambda m: m.pop(),
    b"1": lambda m: m.pop_to_mark(),
    b"p": lambda m: m.put(_place(m)),
    b"q": lambda m: m.put(m.number("B")),
    b"r": lambda m: m.put(m.number("I")),
    b"\x94": lambda m: m.put(len(m.memo)),  # MEMOIZE
    b"g": lambda m: m.get(_place(m)),
    b"h": lambda m: m.get(m.number("B")),
    b"j": lambda m: m.get(m.number("I")),
    b"N": lambda m: m.stack.append(None),
    b"\x88": lambda m: m.stack.append(True),
    b"\x89": lambda m: m.stack.append(False),
    b"I": lambda m: m.decimal(),
    b"L": lambda m: m.decimal(),
    b"J": lambda m: m.stack.append(m.number("i")),
    b"K": lambda m: m.stack.append(m.number("B")),
    b"M": lambda m: m.stack.append(m.number("H")),
    b"\x8a": lambda m: m.long("B"),
    b"\x8b": lambda m: m.long("i"),
    b"S": lambda m: m.text_line("repr"),
    b"V": lambda m: m.text_line("escaped"),
    b"T": lambda m: m.span("i", "bytes"),  # BINSTRING
    b"U": lambda m: m.span("B", "bytes"),
    b"B": lambda m: m.span("I", "bytes"),  # BINBYTES
    b"C": lambda m: m.span("B", "bytes"),
    b"\x8e": lambda m: m.span("Q", "bytes"),
    b"\x96": lambda m: m.span("Q", "bytes"),  # BYTEARRAY8
    b"X": lambda m: m.span("I", "text"),  # BINUNICODE
    b"\x8c": lambda m: m.span("B", "text"),
    b"\x8d": lambda m: m.span("Q", "text"),
    b"]": lambda m: m.stack.append([]),
    b"l": lambda m: m.stack.append(m.pop_to_mark()),
    b"a": lambda m: m.extend([m.pop()]),
    b"e": lambda m: m.extend(m.pop_to_mark()),
    b")": lambda m: m.stack.append(()),
    b"t": lambda m: m.stack.append(tuple(m.pop_to_mark())),
    b"\x85": lambda m: m.stack.append(m.pop_many(1)),
    b"\x86": lambda m: m.stack.append(m.pop_many(2)),
    b"\x87": lambda m: m.stack.append(m.pop_many(3)),
    b"c": lambda m: m.global_lines(),
    b"\x93": lambda m: m.stack_global(),
    b"R": lambda m: m.reduce(),
    b"b": lambda m: m.build(),
}


def _place(machine: Machine) -> int:
    raw = machine.line(12)
    if not raw.isdigit():
        raise InvalidPickle(f"memo place {raw!r} is not a number")
    return int(raw)
