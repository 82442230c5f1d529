"""State dicts of arcface_torch's IResNet, and PyTorch's files of them, written by hand without PyTorch."""

from __future__ import annotations

import struct
import zipfile

import numpy as np

CODES = {"<f4": "FloatStorage", "<f2": "HalfStorage", "<i8": "LongStorage"}
DICT = b"ccollections\nOrderedDict\n)R"


def iresnet(units=(1, 2, 1, 1), width=4, d=6, side=32, seed=0):
    """Return a state dict with arcface_torch's names, plausible as trained."""
    random, state = np.random.RandomState(seed), {}

    def norm(name, channels):
        for role, low, high in (
            ("weight", 0.5, 1.5),
            ("bias", -1, 1),
            ("running_mean", -1, 1),
            ("running_var", 0.5, 2),
        ):
            state[f"{name}.{role}"] = random.uniform(low, high, channels)
        state[name + ".num_batches_tracked"] = np.array(7, np.int64)

    def weight(name, *shape):
        state[name + ".weight"] = random.normal(0, 1 / np.sqrt(np.prod(shape[1:])), shape)

    weight("conv1", width, 3, 3, 3)
    norm("bn1", width)
    state["prelu.weight"] = random.uniform(0.1, 0.9, width)
    before = width
    for stage, count in enumerate(units, 1):
        channels = width << (stage - 1)
        for unit in range(count):
            name = f"layer{stage}.{unit}."
            norm(name + "bn1", before)
            weight(name + "conv1", channels, before, 3, 3)
            norm(name + "bn2", channels)
            state[name + "prelu.weight"] = random.uniform(0.1, 0.9, channels)
            weight(name + "conv2", channels, channels, 3, 3)
            norm(name + "bn3", channels)
            if unit == 0:
                weight(name + "downsample.0", channels, before, 1, 1)
                norm(name + "downsample.1", channels)
            before = channels
    norm("bn2", before)
    weight("fc", d, before * (side // 16) ** 2)
    state["fc.bias"] = random.normal(0, 0.1, d)
    norm("features", d)
    return {name: value if value.dtype.kind == "i" else value.astype(np.float32) for name, value in state.items()}


def text(value):
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def number(value):
    return b"J" + struct.pack("<i", value)


def numbers(values):
    return b"(" + b"".join(map(number, values)) + b"t"


def tensor(key, array, offset=0, shape=None, strides=None, storage=None):
    """Return the opcodes of a tensor whose values are member data/`key`."""
    shape = array.shape if shape is None else shape
    strides = [int(np.prod(shape[axis + 1 :])) for axis in range(len(shape))] if strides is None else strides
    storage = storage or b"ctorch\n" + CODES[array.dtype.str].encode() + b"\n"
    reference = b"(" + text("storage") + storage + text(key) + text("cpu") + number(array.size) + b"tQ"
    arguments = b"(" + reference + number(offset) + numbers(shape) + numbers(strides) + b"\x89" + DICT + b"t"
    return b"ctorch._utils\n_rebuild_tensor_v2\n" + arguments + b"R"


def program(items):
    """Return the pickle of a state dict from the opcodes of its values by name."""
    body = b"".join(text(name) + value for name, value in items.items())
    return b"\x80\x02" + DICT + b"(" + body + b"u}" + text("_metadata") + DICT + b"sb."


def save(path, state, changes=None, members=None, compression=zipfile.ZIP_STORED):
    """Write a file as torch.save does; `changes` replace opcodes of values, `members` members of the archive."""
    items = {name: tensor(str(key), array) for key, (name, array) in enumerate(state.items())}
    items.update(changes or {})
    files = {"data.pkl": program(items), "byteorder": b"little", "version": b"3\n"}
    files.update({f"data/{key}": array.tobytes() for key, array in enumerate(state.values())})
    files.update(members or {})
    with zipfile.ZipFile(str(path), "w", compression) as archive:
        for name, data in files.items():
            if data is not None:
                archive.writestr("archive/" + name, data)
    return str(path)
