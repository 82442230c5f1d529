"""Python's own unpickler loads written verification sets, called as InsightFace calls it."""

from __future__ import annotations

import pickle
import pickletools

import pytest

from arcface_mx.data.bins.write import write_pairs
from arcface_mx.util.errors import UserError


def load(path):
    with open(path, "rb") as stream:
        return pickle.load(stream, encoding="bytes")


@pytest.mark.parametrize("pairs", [1, 499, 500, 501, 1500])
def test_pickle_loads_what_was_written(tmp_path, pairs):
    images = [b"\xff\xd8" + bytes([k % 251, k // 251, 255]) * (1 + k % 200) for k in range(2 * pairs)]
    same = [k % 3 == 0 for k in range(pairs)]
    path = str(tmp_path / "a.bin")
    write_pairs(path, iter(images), same)
    loaded = load(path)
    assert loaded == (images, same)
    assert type(loaded[1][0]) is bool


def test_bytes_stay_bytes_and_repeats_are_stored_once(tmp_path):
    image = bytes(range(256)) * 40
    path = tmp_path / "a.bin"
    write_pairs(str(path), [image] * 20, [True] * 10)
    assert path.stat().st_size < len(image) + 200
    assert load(str(path)) == ([image] * 20, [True] * 10)


def test_only_opcodes_of_python_2_are_written(tmp_path):
    path = tmp_path / "a.bin"
    write_pairs(str(path), [b"one", b"two"] * 600, [True] * 600)
    operations = [operation for operation, _, _ in pickletools.genops(path.read_bytes())]
    assert max(operation.proto for operation in operations) == 2
    assert {operation.name for operation in operations} == {
        "PROTO",
        "EMPTY_LIST",
        "MARK",
        "BINSTRING",
        "LONG_BINPUT",
        "LONG_BINGET",
        "APPENDS",
        "NEWTRUE",
        "TUPLE2",
        "STOP",
    }


def test_equal_input_gives_equal_bytes(tmp_path):
    for name in ("a.bin", "b.bin"):
        write_pairs(str(tmp_path / name), (bytes([k + 1]) * 9 for k in range(8)), [True, False] * 2)
    assert (tmp_path / "a.bin").read_bytes() == (tmp_path / "b.bin").read_bytes()


@pytest.mark.parametrize(
    "images, message",
    [
        ([b"a", b"b", b"c"], "3 images for 1 pairs"),
        ([b"a", b""], "image 1 is empty"),
        ([b"a", "b"], "image 1 is of type str"),
    ],
)
def test_bad_input_leaves_no_file(tmp_path, images, message):
    with pytest.raises(UserError, match=message):
        write_pairs(str(tmp_path / "a.bin"), images, [True])
    assert list(tmp_path.iterdir()) == []


def test_a_set_without_pairs_is_refused(tmp_path):
    with pytest.raises(UserError, match="no pairs"):
        write_pairs(str(tmp_path / "a.bin"), [], [])
