"""MXNet reads parameter files written here, and vice versa; damaged files are refused."""

from __future__ import annotations

import os
import struct

import mxnet as mx
import numpy as np
import pytest

from arcface_mx.util.errors import UserError
from arcface_mx.util.params import MARK, TYPES, read_arrays, write_arrays


def some_arrays(seed=0):
    random = np.random.RandomState(seed)
    shapes = {
        "arg:conv_weight": (4, 3, 3, 3),
        "arg:fc7_weight": (6, 8),
        "aux:bn_moving_var": (4,),
        "momentum:fc7_weight": (6, 8),
    }
    return {name: random.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


def write(path, arrays, facts=None):
    with open(str(path), "wb") as stream:
        write_arrays(stream, arrays, facts)
    return path.read_bytes()


def test_mxnet_reads_files_written_here_and_the_other_way_round(tmp_path):
    arrays = {"arg:" + dtype.name: (np.arange(24).reshape(2, 3, 4) % 2).astype(dtype) for dtype in TYPES}
    ours = write(tmp_path / "ours", arrays, {"note": 1})
    mx.nd.save(
        str(tmp_path / "theirs"), {name: mx.nd.array(value, dtype=value.dtype) for name, value in arrays.items()}
    )
    theirs = (tmp_path / "theirs").read_bytes()
    assert ours[:8] == theirs[:8] and ours[16 : len(theirs)] == theirs[16:]  # equal except mark and checksums
    for loaded in (
        mx.nd.load(str(tmp_path / "ours")),
        read_arrays(str(tmp_path / "theirs")).arrays,
        read_arrays(str(tmp_path / "ours")).arrays,
    ):
        assert set(loaded) == set(arrays)
        for name, value in loaded.items():
            value = value if isinstance(value, np.ndarray) else value.asnumpy()
            assert value.dtype == arrays[name].dtype
            np.testing.assert_array_equal(value, arrays[name])
    assert read_arrays(str(tmp_path / "ours")).facts == {"note": 1}
    assert read_arrays(str(tmp_path / "theirs")).digest is None


def test_files_of_old_mxnet_versions_are_read(tmp_path):
    """V1 has no storage type; before V1, a head began with the number of axes (4 bytes)."""
    values = np.arange(6, dtype="<f4")
    old = {"v1": struct.pack("<Ii2q", 0xF993FAC8, 2, 2, 3), "first": struct.pack("<III", 2, 2, 3)}
    for name, head in old.items():
        body = head + struct.pack("<iii", 1, 0, 0) + values.tobytes()
        (tmp_path / name).write_bytes(struct.pack("<QQQ", 0x112, 0, 1) + body + struct.pack("<QQ", 1, 5) + b"arg:x")
        np.testing.assert_array_equal(read_arrays(str(tmp_path / name)).arrays["arg:x"], values.reshape(2, 3))
        np.testing.assert_array_equal(mx.nd.load(str(tmp_path / name))["arg:x"].asnumpy(), values.reshape(2, 3))


def flip(path, bit):
    with open(str(path), "r+b") as stream:
        stream.seek(bit // 8)
        byte = stream.read(1)[0]
        stream.seek(bit // 8)
        stream.write(bytes([byte ^ 1 << (bit % 8)]))


def test_every_flipped_bit_is_refused_and_the_array_named(tmp_path):
    path = tmp_path / "x.params"
    whole = write(path, some_arrays())
    ends, offset = [], 24
    for name, value in some_arrays().items():
        offset += 4 + 4 + 4 + 8 * value.ndim + 12 + value.nbytes
        ends.append((offset, name))
    bits = np.random.RandomState(0).permutation(8 * len(whole))[:1000]
    refused = 0
    for bit in bits:
        flip(path, bit)
        with pytest.raises(UserError, match="x.params: ") as caught:
            read_arrays(str(path))
        refused += 1
        inside = next((name for end, name in ends if 24 <= bit // 8 < end), None)
        assert inside is None or f"array {inside} differs" in str(caught.value)
        flip(path, bit)
    assert refused == 1000


def test_every_truncation_and_every_zeroed_end_is_refused(tmp_path):
    path = tmp_path / "x.params"
    whole = write(path, some_arrays())
    for length in reversed(range(len(whole))):
        os.truncate(str(path), length)
        with pytest.raises(UserError, match="x.params: "):
            read_arrays(str(path))
        if whole[length:].strip(b"\0"):
            os.truncate(str(path), len(whole))  # a power cut leaves the length, and zeros
            with pytest.raises(UserError, match="x.params: "):
                read_arrays(str(path))


def test_a_damaged_name_is_named(tmp_path):
    path = tmp_path / "x.params"
    whole = write(path, some_arrays())
    start = whole.index(b"aux:bn_moving_var")
    path.write_bytes(whole[:start] + b"arg" + whole[start + 3 :])
    with pytest.raises(UserError, match="name of array aux:bn_moving_var"):
        read_arrays(str(path))


def entry(head, values=b"", count=1, name=b"arg:x"):
    return struct.pack("<QQQ", 0x112, 0, count) + head + values + struct.pack("<QQ", 1, len(name)) + name


V2_HEAD = struct.pack("<Ii", 0xF993FAC9, 0)
FOREIGN = {
    "absurd size": entry(V2_HEAD + struct.pack("<i2qiii", 2, 1 << 40, 1 << 40, 1, 0, 0)),
    "negative length": entry(V2_HEAD + struct.pack("<i1qiii", 1, -4, 1, 0, 0)),
    "a million axes": entry(V2_HEAD + struct.pack("<i", 1_000_000)),
    "no axes": entry(V2_HEAD + struct.pack("<i", 0)),
    "unknown type": entry(V2_HEAD + struct.pack("<i1qiii", 1, 1, 1, 0, 99), b"\0" * 8),
    "sparse": entry(struct.pack("<Ii", 0xF993FAC9, 1)),
    "absurd number of arrays": entry(b"", count=1 << 60),
    "absurd name": struct.pack("<QQQQQ", 0x112, 0, 0, 0, 0)[:24] + struct.pack("<Q", 1 << 60),
    "no names": struct.pack("<QQQ", 0x112, 0, 1)
    + V2_HEAD
    + struct.pack("<i1qiii", 1, 1, 1, 0, 0)
    + b"\0" * 4
    + struct.pack("<Q", 0),
    "twice the name": struct.pack("<QQQ", 0x112, 0, 2)
    + 2 * (V2_HEAD + struct.pack("<i1qiiif", 1, 1, 1, 0, 0, 1.0))
    + struct.pack("<Q", 2)
    + 2 * (struct.pack("<Q", 1) + b"a"),
    "a mark and nothing": struct.pack("<QQQ", 0x112, MARK, 0),
    "another mark": struct.pack("<QQQ", 0x112, MARK ^ 1, 0),
    "pickle": b"\x80\x02cos\nsystem\n(S'true'\ntR.",
    "empty": b"",
}


@pytest.mark.parametrize("case", sorted(FOREIGN))
def test_files_that_would_crash_mxnet_are_refused(tmp_path, case):
    path = tmp_path / "x.params"
    path.write_bytes(FOREIGN[case])
    with pytest.raises(UserError, match="x.params: ") as caught:
        read_arrays(str(path))
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(UserError, match="none.params: cannot be read: No such file"):
        read_arrays(os.path.join(str(tmp_path), "none.params"))
