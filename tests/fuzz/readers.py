"""The readers that are fuzzed: valid files to start from, and a call that may only raise UserError."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
from dataclasses import dataclass
from typing import Callable, Dict, List

import numpy as np

from tests.fuzz import pictures
from tests.fuzz.mutate import mutate


@dataclass(frozen=True)
class Reader:
    """A reader of files."""

    seeds: Callable[[], List[bytes]]  # contents of valid files
    read: Callable[[bytes, str], None]  # takes contents and a folder for the file
    change: Callable[..., bytes] = mutate  # (content, seeds, chance) to a broken content
    native: bool = False  # whether C++ reads them, so that the process may die


def put(folder, name, content):
    path = os.path.join(folder, name)
    with open(path, "wb") as stream:
        stream.write(content)
    return path


# .bin


def bins():
    images = [b"\xff\xd8first\xff\xd9", b"\x89PNGsecond", b"\xff\xd8first\xff\xd9", b"\x89PNGthird"]
    seeds = [pickle.dumps((images, [True, False]), protocol) for protocol in range(6)]
    seeds.append(pickle.dumps((np.asarray(images, object).tolist(), np.asarray([True, False])), 2))
    seeds.append(
        pickle.dumps(([np.frombuffer(image, np.uint8) for image in images], [np.bool_(True), np.bool_(False)]), 4)
    )
    return seeds


def read_bin(content, folder):
    from arcface_mx.data.bins.read import read_pairs

    for _ in read_pairs(put(folder, "x.bin", content)).images():
        pass


# .rec, .idx, property


def records():
    """The files of a set with two identities and three images."""
    import tempfile

    from arcface_mx.data.recordio.writer import RecordWriter

    with tempfile.TemporaryDirectory() as place:
        with RecordWriter(os.path.join(place, "faces"), 32, 32) as writer:
            for label in (0, 0, 1):
                writer.add(label, small_image(".png"))
        return {
            name: open(os.path.join(place, "faces", name), "rb").read()
            for name in ("train.rec", "train.idx", "property")
        }


def small_image(suffix):
    import cv2

    pixels = np.random.RandomState(0).randint(0, 256, (4, 4, 3)).astype(np.uint8).repeat(8, 0).repeat(8, 1)
    return cv2.imencode(suffix, pixels)[1].tobytes()


_VALID: Dict[str, bytes] = {}


def read_records(changed):
    def read(content, folder):
        from arcface_mx.data.recordio.index import RecordIndex

        if not _VALID:
            _VALID.update(records())
        for name, valid in _VALID.items():
            put(folder, name, content if name == changed else valid)
        for _ in RecordIndex.open(folder).images():
            pass

    return read


# .params and checkpoints


ARRAYS = {"arg:w": np.arange(6, dtype=np.float32).reshape(2, 3), "aux:m": np.ones(2, np.float32)}


def params(checksums):
    def seeds():
        from arcface_mx.util.params import write_arrays

        stream = io.BytesIO()
        write_arrays(stream, ARRAYS, {"a": 1})
        whole = stream.getvalue()
        if checksums:
            return [whole]
        end = whole.index(b'{"arrays"')
        return [whole[:8] + bytes(8) + whole[16:end]]

    return seeds


def read_params(content, folder):
    from arcface_mx.util.params import read_arrays

    read_arrays(put(folder, "x.params", content))


def read_guarded_params(content, folder):
    """Any difference from the written file is refused, even if MXNet could read the file."""
    read_params(content, folder)
    assert content == params(True)()[0] or content[8:16] == bytes(8), "changed, and read"


def states():
    from arcface_mx.util.params import write_arrays

    digest = write_arrays(io.BytesIO(), ARRAYS, {"a": 1})
    note = {"format": 2, "step": 7, "best": {}, "skipped": 0, "arrays": digest}
    note["sha256"] = hashlib.sha256(json.dumps(note, sort_keys=True).encode()).hexdigest()
    return [json.dumps(note).encode()]


def read_state_note(content, folder):
    from arcface_mx.train import checkpoint

    path = os.path.join(folder, "step-00000007")
    os.makedirs(path, exist_ok=True)
    put(path, "state.json", content)
    put(path, "arrays.params", params(True)()[0])
    checkpoint.load(path)


# config.json, command lines


def configs():
    from arcface_mx.config import TrainConfig, from_flat, to_json

    own = from_flat({"lr_drops": (3, 5), "eval": ("a.bin",), "freeze": ("x",), "units": (1, 2, 2, 1)})
    return [json.dumps(to_json(config), indent=1).encode() for config in (TrainConfig(), own)]


def read_configuration(content, folder):
    from arcface_mx.train.folder import read_config

    put(folder, "config.json", content)
    read_config(folder)


def command_lines():
    lines = (
        "train --data faces --run r --lr 0.1 --lr-drops 1,2 --eval a.bin --devices cpu(0),cpu(1) --print-config",
        "verify runs/first a.bin --json x.json",
        "data pack photos out --held-out 0.1 --size 112,112",
        "doctor --json x",
        "train --resume runs/a --steps 10 --print-config",
        "table runs/a --tar 0.01",
        "data check faces --sample 10",
    )
    return [line.replace(" ", "\n").encode() for line in lines]


def read_command_line(content, folder):
    import contextlib

    from arcface_mx import config
    from arcface_mx.cli.shared.commands import parse
    from arcface_mx.flags import given_values

    words = content.decode("utf-8", "surrogateescape").split("\n")
    with contextlib.suppress(SystemExit), contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(
        io.StringIO()
    ):
        args = parse(words)
        if words[0] == "train":
            config.from_flat(given_values(args))


# Lists with file names


def lists():
    return [
        b"a/1.jpg\tanna\nb/2.png\tben\n",
        b"0\t3.000000\ta/1.jpg\n",
        b"1\ta/1.jpg\t0\n",
        b"0\tanna\t3\n1\tben\t2\n",
        b"a/1.jpg anna\n",
        b"t1 t2 1\nt2 t3 0\n",
        b"a/1.jpg 30 40 50 40 40 50 32 60 48 60\n",
        b"1\t1\nanna\t1\t2\nanna\t1\tben\t1\n",
        b"1, 1, anna/0, anna/1, 1\n1, 2, anna/0, ben/1, 0\n",
        b"a.jpg 1\nb.jpg 1\n",
    ]


def read_lists(content, folder):
    from arcface_mx.data.align.landmarks import read_landmarks
    from arcface_mx.data.image_files import images_by_identity
    from arcface_mx.data.pack.unpack import read_names
    from arcface_mx.data.protocols.formats import READERS as PROTOCOLS
    from arcface_mx.data.protocols.template_pairs import read_template_pairs
    from arcface_mx.util.errors import UserError
    from arcface_mx.verify.images import read_identities

    def read_pairs_of_templates(path):
        return read_template_pairs(path, np.array(["1", "2", "11065"]), "list.txt")

    path, good = put(folder, "x.txt", content), 0
    protocols = [reader for name, reader in PROTOCOLS.items() if not name.startswith("cfp")]  # those read folders
    for reader in [
        images_by_identity,
        read_names,
        read_identities,
        read_pairs_of_templates,
        read_landmarks,
    ] + protocols:
        try:
            names = reader(path)
        except UserError as error:
            refusal = error
            continue
        good += 1
        if reader is read_names:  # names become folders, which must be inside the given one
            for name in names.values():
                assert os.path.dirname(os.path.normpath(os.path.join("/top", name))) == "/top", name
    if not good:
        raise refusal


# Images and graphs, which C++ reads


def images():
    import cv2

    progressive = [cv2.IMWRITE_JPEG_PROGRESSIVE, 1, cv2.IMWRITE_JPEG_RST_INTERVAL, 2]
    pixels = cv2.imdecode(np.frombuffer(small_image(".png"), np.uint8), cv2.IMREAD_COLOR)
    alpha = np.dstack([pixels, pixels[:, :, :1]])
    more = ((".jpg", pixels, progressive), (".jpg", pixels[:, :, 0], []), (".png", alpha, []))
    more += (
        (".png", pixels.astype(np.uint16) * 257, []),
        (".png", pixels[:, :, 0] // 255 * 255, [cv2.IMWRITE_PNG_BILEVEL, 1]),
    )
    more += ((".webp", alpha, [cv2.IMWRITE_WEBP_QUALITY, 101]),)
    common = [small_image(suffix) for suffix in (".jpg", ".png", ".bmp", ".webp", ".ppm")]
    return common + [cv2.imencode(*entry)[1].tobytes() for entry in more]


def read_image(content, folder):
    from arcface_mx.data.images import decode_rgb
    from arcface_mx.util.errors import UserError

    try:
        pixels = decode_rgb(content)
    except ValueError as error:
        raise UserError(str(error))
    assert pixels.dtype == np.uint8 and pixels.shape[2] == 3


def graphs():
    """A small embedding network, and an IResNet, which has most kinds of layer."""
    import mxnet as mx

    from arcface_mx import symbols
    from tests.support import nets

    data = mx.sym.Variable("data", attr={"arcface_input_size": "32,32"})
    net = symbols.iresnet(data, layers=18, embedding_size=8, width=0.07, input_size=32, units=(1, 1, 1, 1))
    return [nets.embedding((32, 32)).tojson().encode(), net.tojson().encode()]


def read_graph(content, folder):
    """Load the graph with parameters of the shapes that it asks for, and embed one image, all in this process."""
    from unittest import mock

    import mxnet as mx

    from arcface_mx.model import load_model
    from arcface_mx.model.graph import mxnet_reason
    from arcface_mx.model.load import read_graph as checked
    from arcface_mx.util.errors import UserError

    path = put(folder, "model-symbol.json", content)
    try:
        symbol = mx.sym.load_json(checked(path))
    except mx.base.MXNetError as error:
        raise UserError(f"MXNet refused: {mxnet_reason(error)[:60]}")
    try:
        shapes, _, aux_shapes = symbol.infer_shape(data=(1, 3, 32, 32))
    except mx.base.MXNetError:
        shapes, aux_shapes = None, None
    arrays = {}
    for prefix, names, sizes in (
        ("arg:", symbol.list_arguments(), shapes),
        ("aux:", symbol.list_auxiliary_states(), aux_shapes),
    ):
        for name, shape in zip(names, sizes or [(1,)] * len(names)):
            if name != "data":
                if int(np.prod(shape, dtype=np.float64)) > 1 << 22:
                    return  # no file of parameters could be so small
                arrays[prefix + name] = mx.nd.ones(shape)
    if not arrays:
        return
    mx.nd.save(os.path.join(folder, "model-0000.params"), arrays)
    try:
        with mock.patch("arcface_mx.model.trial.try_graph"):
            load_model(folder).embed([np.zeros((32, 32, 3), np.uint8)])
    except mx.base.MXNetError as error:
        raise UserError(f"MXNet refused: {mxnet_reason(error)[:60]}")


READERS: Dict[str, Reader] = {
    "bin": Reader(bins, read_bin),
    "rec": Reader(lambda: [records()["train.rec"]], read_records("train.rec"), native=True),
    "idx": Reader(lambda: [records()["train.idx"]], read_records("train.idx")),
    "property": Reader(lambda: [records()["property"]], read_records("property")),
    "params": Reader(params(False), read_params),
    "params-with-checksums": Reader(params(True), read_guarded_params),
    "state.json": Reader(states, read_state_note),
    "config.json": Reader(configs, read_configuration),
    "command-line": Reader(command_lines, read_command_line),
    "lists": Reader(lists, read_lists),
    "image": Reader(images, read_image, pictures.changed, native=True),
    "symbol.json": Reader(graphs, read_graph, native=True),
}
