"""Pickles that run code are refused, and their code does not run.

Each gadget makes a folder when Python's own unpickler loads it. The test checks this first.
"""

from __future__ import annotations

import copyreg
import io
import pickle
import struct

import pytest

from arcface_mx.data.bins.read import read_pairs
from arcface_mx.util.errors import UserError


def text(value):
    raw = value.encode()
    return b"X" + struct.pack("<I", len(raw)) + raw


def blob(raw):
    return b"B" + struct.pack("<I", len(raw)) + raw


def call(module, name, *arguments):
    """GLOBAL, arguments, REDUCE."""
    return b"c%s\n%s\n(" % (module.encode(), name.encode()) + b"".join(arguments) + b"tR"


class Canary:
    """A pickle of it calls os.mkdir(path)."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        import os

        return os.mkdir, (self.path,)


class Stateful:
    def __setstate__(self, path):
        import os

        os.mkdir(path)


class Constructed:
    def __new__(cls, path=None):
        import os

        if path:
            os.mkdir(path)
        return object.__new__(cls)


def hidden(path):
    return b"\x80\x02(" + b"]" + b"(" + b"U\x01aU\x01be" + b"](" + call("os", "mkdir", text(path)) + b"et."


THIS = __name__
GADGETS = {
    "GLOBAL and REDUCE": lambda path: call("os", "mkdir", text(path)) + b".",
    "posix by its own name": lambda path: call("posix", "mkdir", text(path)) + b".",
    "STACK_GLOBAL": lambda path: b"\x80\x04" + text("os") + text("mkdir") + b"\x93" + text(path) + b"\x85R.",
    "name from the memo": lambda path: (
        b"\x80\x04" + text("os") + b"\x940" + b"h\x00" + text("mkdir") + b"\x93" + text(path) + b"\x85R."
    ),
    "INST": lambda path: b"(" + text(path) + b"ios\nmkdir\n.",
    "OBJ": lambda path: b"(c%s\nConstructed\n" % THIS.encode() + text(path) + b"o.",
    "NEWOBJ": lambda path: b"\x80\x02c%s\nConstructed\n" % THIS.encode() + text(path) + b"\x85\x81.",
    "NEWOBJ_EX": lambda path: b"\x80\x04c%s\nConstructed\n" % THIS.encode() + text(path) + b"\x85}\x92.",
    "BUILD": lambda path: b"\x80\x02c%s\nStateful\n)\x81" % THIS.encode() + text(path) + b"b.",
    "eval": lambda path: call("builtins", "eval", text(f"__import__('os').mkdir({path!r})")) + b".",
    "exec": lambda path: call("builtins", "exec", text(f"import os; os.mkdir({path!r})")) + b".",
    "subprocess": lambda path: call("subprocess", "check_call", b"(" + text("mkdir") + text(path) + b"t") + b".",
    "getattr": lambda path: (
        call("builtins", "getattr", call("builtins", "__import__", text("os")), text("mkdir")) + text(path) + b"\x85R."
    ),
    "functools.partial": lambda path: call("functools", "partial", b"cos\nmkdir\n", text(path)) + b")R.",
    "pickle in a pickle": lambda path: b"\x80\x03" + call("pickle", "loads", blob(pickle.dumps(Canary(path)))) + b".",
    "dotted name": lambda path: b"\x80\x04" + text("logging") + text("os.mkdir") + b"\x93" + text(path) + b"\x85R.",
    "extension registry": lambda path: b"\x80\x02\x82\x07" + text(path) + b"\x85R.",
    "in a list of labels": hidden,
    "protocol 5": lambda path: pickle.dumps(([b"a", b"b"], [Canary(path)]), 5 if pickle.HIGHEST_PROTOCOL >= 5 else 4),
    "protocol 0": lambda path: pickle.dumps(([Canary(path), b"b"], [True]), 0),
}


@pytest.fixture
def extension():
    copyreg.add_extension("os", "mkdir", 7)
    yield
    copyreg.remove_extension("os", "mkdir", 7)


@pytest.mark.parametrize("gadget", sorted(GADGETS))
def test_code_is_refused_and_does_not_run(tmp_path, gadget, extension):
    marker, path = tmp_path / "ran", tmp_path / "hostile.bin"
    content = GADGETS[gadget](str(marker))
    try:
        pickle.loads(content)
    except Exception:  # some gadgets raise after they have run
        pass
    assert marker.is_dir(), "the gadget does not run even in pickle.loads, so the test would show nothing"
    marker.rmdir()
    path.write_bytes(content)
    with pytest.raises(UserError, match="byte .*nothing in it was executed") as caught:
        read_pairs(str(path))
    assert not marker.exists()
    assert "\n" not in str(caught.value)


REFUSED = {
    "PERSID": b"Pfile\n.",
    "BINPERSID": text("file") + b"Q.",
    "NEXT_BUFFER": b"\x80\x05\x97.",
    "READONLY_BUFFER": b"\x80\x05]\x98.",
    "DICT": b"(d.",
    "EMPTY_SET": b"\x80\x04\x8f.",
    "FROZENSET": b"\x80\x04(\x91.",
    "ndarray called": b"cnumpy\nndarray\nK\x05\x85R.",
    "another array class": call("numpy.core.multiarray", "_reconstruct", b"cnumpy\ndtype\n", b"K\x00\x85", text("b"))
    + b".",
    "another codec": call("_codecs", "encode", text("a"), text("zip")) + b".",
    "object array": call("numpy", "dtype", text("O8"), b"K\x00", b"K\x01") + b".",
    "bytes of a number": call("builtins", "bytes", b"J\xff\xff\xff\x7f") + b".",
    "call of a value": b"K\x01)R.",
    "call of a list": b"])R.",
    "state on a list": b"]K\x01b.",
    "state on a constructor": b"cnumpy\nndarray\n(cnumpy\nndarray\nK\x01)cnumpy\ndtype\nU\x02u1\x85RK\x00U\x01atb.",
    "append to a tuple": b")K\x01a.",
    "pop of nothing": b"0.",
    "pop over a mark": b"(0.",
    "missing mark": b"K\x01t.",
    "empty memo": b"h\x05.",
    "negative length": b"T\xff\xff\xff\xff.",
    "two values": b"K\x01K\x02.",
    "only a mark": b"(.",
    "name too long": b"c" + b"a" * 1000 + b"\nb\n.",
    "memo place that is no number": b"gx\n.",
    "number too long": b"I" + b"1" * 100_000_000 + b"\n.",
}


@pytest.mark.parametrize("case", sorted(REFUSED))
def test_other_opcodes_are_refused(tmp_path, case):
    path = tmp_path / "hostile.bin"
    path.write_bytes(REFUSED[case])
    with pytest.raises(UserError, match="hostile.bin: byte \\d+: "):
        read_pairs(str(path))


@pytest.mark.slow
@pytest.mark.parametrize(
    "bomb",
    [b"(" * 1_200_000, b"]" * 1_200_000, b"](" + b")" * 600_000 + b"e(" + b")" * 600_000 + b"e."],
    ids=["marks", "lists", "tuples"],
)
def test_bombs_are_stopped_early(tmp_path, bomb):
    path = tmp_path / "hostile.bin"
    path.write_bytes(bomb)
    with pytest.raises(UserError, match="more opcodes than a verification set needs"):
        read_pairs(str(path))


def test_deep_nesting_is_refused(tmp_path):
    path = tmp_path / "hostile.bin"
    path.write_bytes(b"K\x01" + b"\x85" * 200_000 + b".")
    with pytest.raises(UserError, match="holds a tuple of 1, not"):
        read_pairs(str(path))


@pytest.mark.parametrize(
    "before, after", [(b"", b")R."), (b"cnumpy\ndtype\n", b"\x85R."), (b"]", b"b."), (b"", b"Nb.")]
)
def test_deep_nesting_is_refused_as_an_argument(tmp_path, before, after):
    """To hash such a tuple would overflow the stack of the process."""
    path = tmp_path / "hostile.bin"
    path.write_bytes(before + b"K\x01" + b"\x85" * 200_000 + after)
    with pytest.raises(UserError, match="nothing in it was executed"):
        read_pairs(str(path))


def test_an_array_without_values_is_refused(tmp_path):
    path = tmp_path / "hostile.bin"
    array = call("numpy.core.multiarray", "_reconstruct", b"cnumpy\nndarray\n", b"K\x00\x85", text("b"))
    for content in (b"](U\x01aU\x01be" + array + b"\x86.", b"](" + array + b"U\x01be]\x88a\x86."):
        path.write_bytes(content)
        with pytest.raises(UserError, match="hostile.bin: (it holds no pairs|its array of labels|image 0 is empty)"):
            read_pairs(str(path))


def test_doubling_lists_stay_small(tmp_path):
    """Each of forty lists holds the previous list twice. A walk over all items would take 2**40 steps."""
    content = io.BytesIO()
    content.write(b"\x80\x02]q\x00")
    for level in range(40):
        content.write(b"](h" + bytes([level]) + b"h" + bytes([level]) + b"eq" + bytes([level + 1]))
    content.write(b"h\x28\x86.")
    path = tmp_path / "hostile.bin"
    path.write_bytes(content.getvalue())
    with pytest.raises(UserError):
        read_pairs(str(path))
