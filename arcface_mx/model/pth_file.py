"""Read a PyTorch state dict, a .pth or .pt file, as data.

Such a file is a ZIP archive of a pickle and one member for each tensor. `torch.load` and
`pickle.load` can run code that the pickle names. Here the machine of `data/bins/pickle_reader.py`
reads it, with the few names that tensors need; every other name is refused.
"""

from __future__ import annotations

import math
import zipfile
from typing import Any, Dict, List, Mapping, NamedTuple, Tuple

import numpy as np

from arcface_mx.data.bins.pickle_reader import InvalidPickle, PickleFile, StackMachine, String, run_pickle
from arcface_mx.util.errors import UserError

MAX_PICKLE, MAX_TENSORS = 1 << 24, 1 << 14  # bytes; the state dict of an IResNet200 has 160 kB
EXPECTED = "a state dict: names and tensors, as torch.save(model.state_dict()) writes it"


class StorageType(NamedTuple):
    """The type of a tensor's values."""

    code: str


class Storage(NamedTuple):
    """The member of the archive that holds a tensor's values."""

    member: str
    code: str
    values: int


class Tensor(NamedTuple):
    """A tensor, whose values stay in the archive."""

    storage: Storage
    offset: int
    shape: Tuple[int, ...]


def read_pth(path: str) -> Dict[str, np.ndarray]:
    """Read the state dict in a file.

    Parameters
    ----------
    path : str
        A file that torch.save of PyTorch 1.6 or later has written.

    Returns
    -------
    dict of str to ndarray
        Floating point tensors in float32, others as they are.

    Raises
    ------
    UserError
        If the file is truncated, has the old format, or holds anything but names and tensors.
    """
    try:
        with open(path, "rb") as stream:
            head = stream.read(4)
            if head[:2] != b"PK":
                raise UserError(f"{path}: {_other_format(head)}")
            with zipfile.ZipFile(stream) as archive:
                return _read(archive, path)
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    except (zipfile.BadZipFile, NotImplementedError, EOFError, RuntimeError, ValueError) as error:
        raise UserError(f"{path}: is truncated or damaged: {str(error).splitlines()[0]}") from None


def _other_format(head: bytes) -> str:
    if head[:1] == b"\x80":
        return (
            "is a pickle, PyTorch's format before version 1.6; load it in PyTorch where you trust its origin, "
            "and save it again"
        )
    return "is empty, truncated or no file of PyTorch"


def _read(archive: zipfile.ZipFile, path: str) -> Dict[str, np.ndarray]:
    members = {info.filename: info for info in archive.infolist()}
    pickles = [name for name in members if name.endswith("/data.pkl")]
    if len(members) != len(archive.infolist()) or len(pickles) != 1:
        raise UserError(f"{path}: is a ZIP file without exactly one data.pkl, and no file of PyTorch")
    folder = pickles[0][: -len("data.pkl")]
    if any(name.startswith((folder + "code/", folder + "constants.pkl")) for name in members):
        raise UserError(f"{path}: is a TorchScript program; save the state dict: torch.save(model.state_dict(), FILE)")
    if any(info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1 for info in members.values()):
        raise UserError(f"{path}: its members are compressed or encrypted, as PyTorch does not write them")
    if folder + "byteorder" in members and archive.read(folder + "byteorder").strip() != b"little":
        raise UserError(f"{path}: was written on a big-endian machine; save it again on another one")
    if members[pickles[0]].file_size > MAX_PICKLE:
        raise UserError(f"{path}: its pickle has {members[pickles[0]].file_size} bytes, too many for a state dict")
    state = run_pickle(PickleFile(archive.read(pickles[0])), _StateMachine(), f"{path}: {pickles[0]}", EXPECTED)
    if not isinstance(state, dict) or not 0 < len(state) <= MAX_TENSORS:
        raise UserError(f"{path}: holds something else than {EXPECTED}")
    strangers = [name for name, value in state.items() if not isinstance(value, Tensor)]
    if strangers:
        raise UserError(f"{path}: {strangers[0]!r:.60} is not a tensor; expected {EXPECTED}")
    values: Dict[str, np.ndarray] = {}
    arrays = {}
    for name, tensor in state.items():
        member = tensor.storage.member
        if member not in values:
            values[member] = _values(archive, folder, tensor.storage)
        size = math.prod(tensor.shape)
        if values[member].dtype != np.dtype(tensor.storage.code) or tensor.offset + size > len(values[member]):
            raise UserError(f"{path}: {name:.60}, of shape {tensor.shape}, does not fit the values in data/{member}")
        array = values[member][tensor.offset : tensor.offset + size].reshape(tensor.shape)
        arrays[name] = array.astype(np.float32) if array.dtype.kind == "f" else array
    return arrays


def _values(archive: zipfile.ZipFile, folder: str, storage: Storage) -> np.ndarray:
    """Return all values of a storage. Its length is that of the file, so that it is bounded."""
    try:
        raw = archive.read(f"{folder}data/{storage.member}")
    except KeyError:
        raise ValueError(f"it has no member data/{storage.member:.40}") from None
    if len(raw) != storage.values * np.dtype(storage.code).itemsize:
        raise ValueError(f"data/{storage.member:.40} has {len(raw)} bytes for {storage.values} values")
    return np.frombuffer(raw, storage.code)


class _StateMachine(StackMachine):
    """The machine with dictionaries and tensors."""

    def __init__(self) -> None:
        super().__init__(CONSTRUCTORS)

    def execute(self, name: str, argument: Any, position: int) -> None:
        """Carry out one opcode."""
        if name == "EMPTY_DICT":
            self.stack.append({})
        elif name == "DICT":
            items, self.stack = self.stack, self.marks.pop()
            self.stack.append({})
            self._set(items)
        elif name == "SETITEM":
            self._set(self.pop(2))
        elif name == "SETITEMS":
            items, self.stack = self.stack, self.marks.pop()
            self._set(items)
        elif name == "BINPERSID":
            self.stack.append(_storage(*self.pop(1)[0]))
        elif name == "BUILD" and len(self.stack) > 1 and isinstance(self.stack[-2], dict):
            self.pop(1)  # attributes of an OrderedDict: the versions of the modules, which are not needed
        else:
            super().execute(name, argument, position)

    def _set(self, items: List[Any]) -> None:
        if not self.stack or not isinstance(self.stack[-1], dict) or len(items) % 2:
            raise InvalidPickle("items are set on something that is not a dictionary")
        for key, value in zip(items[::2], items[1::2]):
            if not isinstance(key, String) or (key.length and not key.short):
                raise InvalidPickle("a dictionary has a key that is not a short name")
            self.stack[-1][key.short.decode("utf-8")] = value


def _storage(kind: String, values: StorageType, key: String, location: String, count: int) -> Storage:
    if kind.name != "storage" or not isinstance(values, StorageType) or not key.name.isdigit() or count < 0:
        raise InvalidPickle("a reference to something else than the values of a tensor")
    return Storage(key.name, values.code, count)


def _tensor(storage: Storage, offset: int, shape: Tuple[int, ...], strides: Tuple[int, ...], *rest: object) -> Tensor:
    if not isinstance(storage, Storage) or any(type(number) is not int or number < 0 for number in (offset, *shape)):
        raise InvalidPickle("a tensor without a shape")
    expected = [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
    if any(length > 1 and stride != step for length, stride, step in zip(shape, strides, expected)):
        raise InvalidPickle("a tensor that is a transposed view; save model.state_dict() of contiguous tensors")
    return Tensor(storage, offset, tuple(shape))


def _parameter(tensor: Tensor, *rest: object) -> Tensor:
    if not isinstance(tensor, Tensor):
        raise InvalidPickle("a parameter without a tensor")
    return tensor


def _ordered_dict(*arguments: object) -> Dict[str, Any]:
    if arguments:
        raise InvalidPickle("a dictionary that is made of something else")
    return {}


CODES = {"Float": "<f4", "Double": "<f8", "Half": "<f2", "Long": "<i8", "Int": "<i4", "Byte": "u1", "Bool": "?"}
CONSTRUCTORS: Mapping[str, Any] = {
    "collections OrderedDict": _ordered_dict,
    "torch._utils _rebuild_tensor_v2": _tensor,
    "torch._utils _rebuild_parameter": _parameter,
    **{f"torch {name}Storage": StorageType(code) for name, code in CODES.items()},
}
