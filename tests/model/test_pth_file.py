"""PyTorch's state dicts are read as data; what is not a state dict is refused and nothing in it runs."""

from __future__ import annotations

import os
import pickle
import zipfile

import numpy as np
import pytest

from arcface_mx.model.pth_file import read_pth
from arcface_mx.util.errors import UserError
from tests.support import torch_files

STATE = {
    "a.weight": np.arange(6, dtype=np.float32).reshape(2, 3),
    "a.count": np.array(3, np.int64),
    "b": np.array([0.5, -2], np.float16),
}


def test_names_shapes_and_values_are_read(tmp_path):
    state = read_pth(torch_files.save(tmp_path / "a.pth", STATE))
    assert list(state) == list(STATE)
    for name, array in STATE.items():
        np.testing.assert_array_equal(state[name], array)
    assert {str(array.dtype) for array in state.values()} == {"float32", "int64"}


def test_a_tensor_may_be_a_part_of_its_storage(tmp_path):
    whole = STATE["a.weight"]
    part = torch_files.tensor("0", whole, offset=2, shape=(2, 2))
    state = read_pth(torch_files.save(tmp_path / "a.pth", STATE, {"part": part}))
    np.testing.assert_array_equal(state["part"], whole.ravel()[2:6].reshape(2, 2))


ARRAY = STATE["a.weight"]
CALL = b"cos\nsystem\n(" + torch_files.text("touch {}") + b"tR"
VALUES = {
    "a call": (CALL, "it asks for os.system"),
    "another call of torch": (b"ctorch\nload\n(" + torch_files.text("x") + b"tR", "asks for torch.load"),
    "a builtin": (b"cbuiltins\neval\n(" + torch_files.text("1") + b"tR", "asks for builtins.eval"),
    "a number": (torch_files.number(3), "'x' is not a tensor"),
    "a dictionary": (b"}", "'x' is not a tensor"),
    "a text": (torch_files.text("hello"), "'x' is not a tensor"),
    "a name": (b"ctorch\nFloatStorage\n", "'x' is not a tensor"),
    "an absent member": (torch_files.tensor("77", ARRAY), "no member data/77"),
    "a path": (torch_files.tensor("../0", ARRAY), "something else than the values of a tensor"),
    "a shape beyond its values": (torch_files.tensor("0", ARRAY, shape=(3, 3)), "does not fit the values"),
    "an offset beyond its values": (torch_files.tensor("0", ARRAY, offset=1), "does not fit the values"),
    "a negative offset": (torch_files.tensor("0", ARRAY, offset=-1), "without a shape"),
    "a negative shape": (torch_files.tensor("0", ARRAY, shape=(-1, -6)), "without a shape"),
    "a huge shape": (torch_files.tensor("0", ARRAY, shape=(2**30, 2**30)), "does not fit the values"),
    "a transposed view": (torch_files.tensor("0", ARRAY, shape=(3, 2), strides=(1, 3)), "transposed view"),
    "another type": (torch_files.tensor("0", ARRAY, storage=b"ctorch\nDoubleStorage\n"), "does not fit the values"),
    "a storage that is called": (b"ctorch\nFloatStorage\n)R", "out of place"),
    "a state on a tensor": (torch_files.tensor("0", ARRAY) + b"}b", "a state is set"),
    "an extension": (b"\x82\x01", "opcode EXT1 is not allowed"),
    "an instance": (b"(ios\nsystem\n", "opcode INST is not allowed"),
}


@pytest.mark.parametrize("kind", VALUES)
def test_a_value_that_is_not_a_tensor_is_refused(kind, tmp_path):
    opcodes, reason = VALUES[kind]
    mark = tmp_path / "mark"
    path = torch_files.save(tmp_path / "a.pth", STATE, {"x": opcodes.replace(b"{}", b"mk")})
    with pytest.raises(UserError, match=reason) as error:
        read_pth(path)
    assert str(error.value).startswith(path) and "\n" not in str(error.value)
    assert not mark.exists() and os.listdir(tmp_path) == ["a.pth"]


def test_a_pickle_that_runs_code_does_not(tmp_path):
    class Attack:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "attacked"),)

    plain = tmp_path / "plain.pth"
    plain.write_bytes(pickle.dumps(Attack()))
    path = torch_files.save(tmp_path / "a.pth", STATE, members={"data.pkl": pickle.dumps({"a": Attack()})})
    for name, reason in ((str(plain), "before version 1.6"), (path, "it asks for posix.mkdir")):
        with pytest.raises(UserError, match=reason):
            read_pth(name)
    assert not (tmp_path / "attacked").exists()


MEMBERS = {
    "no pickle": ({"data.pkl": None}, "without exactly one data.pkl"),
    "TorchScript": ({"code/net.py": b"import os"}, "is a TorchScript program"),
    "big-endian": ({"byteorder": b"big"}, "big-endian"),
    "a short member": ({"data/0": bytes(8)}, "has 8 bytes for 6 values"),
    "a long pickle": ({"data.pkl": b"\x80\x02" + b"N0" * (1 << 23)}, "too many for a state dict"),
    "endless opcodes": ({"data.pkl": b"\x80\x02" + b"N0" * 200_000 + b"}."}, "more opcodes than a state dict needs"),
    "nothing": ({"data.pkl": torch_files.program({})}, "holds something else"),
    "a list": ({"data.pkl": b"\x80\x02]."}, "holds something else"),
}


@pytest.mark.parametrize("kind", MEMBERS)
def test_an_archive_that_is_not_a_state_dict_is_refused(kind, tmp_path):
    members, reason = MEMBERS[kind]
    with pytest.raises(UserError, match=reason):
        read_pth(torch_files.save(tmp_path / "a.pth", STATE, members=members))


def test_a_compressed_archive_is_refused(tmp_path):
    """PyTorch never compresses; a small compressed member may expand to more than the memory."""
    with pytest.raises(UserError, match="compressed"):
        read_pth(torch_files.save(tmp_path / "a.pth", STATE, compression=zipfile.ZIP_DEFLATED))


def test_changed_and_missing_bytes_are_noticed(tmp_path):
    path = torch_files.save(tmp_path / "a.pth", STATE)
    with open(path, "rb") as stream:
        data = stream.read()
    for length in [0, 1, 2, 3, 30, *range(50, len(data), 37)]:
        (tmp_path / "b.pth").write_bytes(data[:length])
        with pytest.raises(UserError, match="truncated"):
            read_pth(str(tmp_path / "b.pth"))
    start = data.index(STATE["a.weight"].tobytes())
    for place in (start, start + 5, data.index(b"a.weight") + 2):
        (tmp_path / "b.pth").write_bytes(data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :])
        with pytest.raises(UserError, match="truncated or damaged: Bad CRC-32"):
            read_pth(str(tmp_path / "b.pth"))
    with pytest.raises(UserError, match="No such file"):
        read_pth(str(tmp_path / "absent.pth"))
