"""A model may be an ONNX file. Strangers' files are checked first, and changed bits in our own files are noticed."""

from __future__ import annotations

import os
import sys

import cv2
import mxnet as mx
import numpy as np
import pytest

from arcface_mx.cli import main
from arcface_mx.faces.embed import read_embeddings
from arcface_mx.model import engines
from arcface_mx.model.api import load
from arcface_mx.model.load import load_model, model_fingerprint
from arcface_mx.model.onnx_file import read_onnx, seal
from arcface_mx.util.errors import UserError
from tests.support import nets
from tests.support.onnx_files import model, node, projection, save

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


def small(**changes):
    nodes, arrays = projection()
    return model(nodes, arrays, **changes)


@pytest.fixture(scope="module")
def exported(tiny_pairs, tmp_path_factory):
    """A folder with the same network in MXNet's format and in ONNX."""
    folder = tmp_path_factory.mktemp("exported")
    network = nets.save(folder, *nets.backbone("mobilefacenet")) + ",0"
    assert main(["export", network, "--out", str(folder / "out"), "--onnx", "--images", tiny_pairs]) == 0
    return str(folder / "out")


@pytest.mark.parametrize("flip", [False, True])
def test_an_exported_onnx_file_embeds_like_the_model(exported, flip):
    images = nets.images(11, (40, 40))
    expected, embedder = load_model(exported).embed(images, 4, flip), load(exported + "/model.onnx")
    np.testing.assert_allclose(embedder.embed(images, 4, flip), expected, atol=1e-5 * np.abs(expected).max())
    assert (embedder.input_size, embedder.embedding_size) == ((32, 32), 16)
    assert str(embedder.convention) == "rgb,0,1" and embedder.convention_is_known


@pytest.mark.parametrize(
    "convention, order, mean, scale",
    [("rgb", [0, 1, 2], 0, 1), ("bgr", [2, 1, 0], 0, 1), ("BGR, 127.5,128", [2, 1, 0], 127.5, 128)],
)
def test_the_stated_input_reaches_the_network(tmp_path, convention, order, mean, scale):
    nodes, arrays = projection()
    path, images = save(tmp_path / "a.onnx", model(nodes, arrays)), nets.images(3, (8, 8))
    pixels = (np.stack(images)[..., order].transpose(0, 3, 1, 2).reshape(3, -1) - mean) / scale
    np.testing.assert_allclose(load(path, input=convention).embed(images), pixels @ arrays["weight"], rtol=1e-4)


def test_the_stated_input_reaches_a_model_of_mxnet(tmp_path):
    prefix, images = nets.save(tmp_path, *nets.backbone("mobilefacenet")), nets.images(3, (32, 32))
    exchanged = [image[..., ::-1] for image in images]
    expected = load_model(prefix + ",0").embed(exchanged)
    np.testing.assert_array_equal(load_model(prefix + ",0", convention="bgr").embed(images), expected)


@pytest.mark.parametrize("first, assumed", [("Flatten", "rgb,127.5,127.5"), ("Sub", "rgb,0,1")])
def test_a_file_that_states_nothing_is_taken_as_insightface_does(tmp_path, first, assumed, caplog):
    nodes, arrays = projection()
    if first == "Sub":
        nodes[0].input[0] = "scaled"
        normalisation = [node("Sub", ["image", "mean"], ["centred"]), node("Mul", ["centred", "scale"], ["scaled"])]
        nodes, arrays = normalisation + nodes, dict(arrays, mean=np.float32(127.5), scale=np.float32(1 / 128))
    assert str(load(save(tmp_path / "a.onnx", model(nodes, arrays))).convention) == assumed
    assert f"does not state its input; {assumed} is assumed" in caplog.text


@pytest.mark.parametrize("text", ["rgb,1", "grey", "rgb,127.5,0", "rgb,nan,1", "rgb,1,-2", "bgr,127.5,128,1"])
def test_an_input_that_cannot_be_read_is_refused(text, tmp_path):
    with pytest.raises(UserError, match="`input`"):
        load(save(tmp_path / "a.onnx", small()), input=text)


@pytest.mark.parametrize("batch", [1, 4])
def test_a_graph_for_a_fixed_number_of_images_embeds_any_number(tmp_path, batch):
    open_batch, fixed = (
        save(tmp_path / f"{name}.onnx", small(shape=(size, 3, 8, 8), outputs=(("out", (size, 4)),)))
        for name, size in (("open", "batch"), ("fixed", batch))
    )
    images = nets.images(7, (8, 8))
    np.testing.assert_allclose(load(fixed).embed(images, 3), load(open_batch).embed(images, 3), rtol=1e-6)


def test_an_output_is_named_where_there_are_several(tmp_path):
    nodes, arrays = projection()
    nodes.append(node("Neg", ["out"], ["negative"]))
    outputs = (("out", ("batch", 4)), ("negative", ("batch", 4)))
    path, images = save(tmp_path / "a.onnx", model(nodes, arrays, outputs=outputs)), nets.images(2, (8, 8))
    with pytest.raises(UserError, match="2 outputs .out, negative.; name one with `layer`"):
        load(path)
    with pytest.raises(UserError, match="no output middle"):
        load(path, layer="middle")
    np.testing.assert_array_equal(load(path, layer="negative").embed(images), -load(path, layer="out").embed(images))


def one_more(*nodes):
    first, arrays = projection()
    return model([*first, *nodes], arrays)


def with_graph():
    branch = onnx.helper.make_graph([node("Neg", ["out"], ["x"])], "branch", [], [])
    return one_more(node("If", ["out"], ["y"], then_branch=branch, else_branch=branch))


def with_function():
    proto = small()
    proto.functions.add(name="f", domain="own")
    return proto


BAD = {
    "has another graph": (with_graph, "contains another graph"),
    "function": (with_function, "functions"),
    "strange operator": (lambda: one_more(node("Magic", ["out"], ["y"])), "'Magic' is not an operator of ONNX"),
    "strange domain": (lambda: one_more(node("Gelu", ["out"], ["y"], domain="com.other")), "domain com.other"),
    "open size": (lambda: small(shape=("n", 3, "h", "w")), r"\(\?, 3, \?, \?\): height and width are open"),
    "huge size": (lambda: small(shape=(1, 3, 100000, 112)), "too large"),
    "grey": (lambda: small(shape=(1, 1, 8, 8)), r"images are \(N, 3, height, width\)"),
    "no images": (lambda: small(shape=(1, 192)), r"images are \(N, 3, height, width\)"),
    "bytes": (lambda: small(kind=2), "not float32"),
    "no vector": (lambda: model([node("Neg", ["image"], ["out"])], {}), r"shape \(1, 3, 8, 8\)"),
    "empty": (lambda: b"", "truncated, damaged or no ONNX file"),
    "text": (lambda: b"<html>not found</html>", "truncated, damaged or no ONNX file"),
    "truncated": (lambda: small().SerializeToString()[:900], "truncated, damaged or no ONNX file"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_refused_in_one_line(name, tmp_path, capsys):
    make, reason = BAD[name]
    path = save(tmp_path / "a.onnx", make())
    with pytest.raises(UserError, match=reason) as error:
        load(path)
    assert str(error.value).startswith(path)
    assert main(["embed", path, str(tmp_path), str(tmp_path / "out.npz")]) == 2
    assert sorted(os.listdir(tmp_path)) == ["a.onnx"]


def external(location, data=b"", **words):
    """Return a file whose weight lies in another one."""
    proto = small()
    weight = proto.graph.initializer[0]
    weight.data_location = onnx.TensorProto.EXTERNAL
    weight.ClearField("raw_data")
    for key, value in dict(words, location=location).items():
        weight.external_data.add(key=key, value=str(value))
    return proto


def test_external_data_beside_the_file_is_read_and_is_part_of_the_fingerprint(tmp_path):
    _, arrays = projection()
    whole, path = save(tmp_path / "whole.onnx", small()), save(tmp_path / "a.onnx", external("weights.bin"))
    (tmp_path / "weights.bin").write_bytes(arrays["weight"].tobytes())
    images = nets.images(3, (8, 8))
    np.testing.assert_array_equal(load(path).embed(images), load(whole).embed(images))
    before = model_fingerprint(path)
    (tmp_path / "weights.bin").write_bytes((2 * arrays["weight"]).tobytes())
    assert model_fingerprint(path) != before


@pytest.mark.parametrize(
    "location", ["../weights.bin", "/etc/hostname", "sub/weights.bin", "link.bin", "", "..", "absent.bin", "a\0b"]
)
def test_external_data_elsewhere_is_refused(location, tmp_path):
    folder = tmp_path / "folder"
    (folder / "sub").mkdir(parents=True)
    for place in (tmp_path / "weights.bin", folder / "sub" / "weights.bin"):
        place.write_bytes(bytes(4 * 192 * 4))
    (folder / "link.bin").symlink_to(tmp_path / "weights.bin")
    with pytest.raises(UserError, match="beside it"):
        load(save(folder / "a.onnx", external(location)))


@pytest.mark.parametrize("words", [{"length": 999999}, {"offset": 999999}, {"offset": -1}, {"length": "9" * 30}])
def test_external_data_that_is_too_short_is_refused(words, tmp_path):
    (tmp_path / "weights.bin").write_bytes(bytes(4 * 192 * 4))
    with pytest.raises(UserError, match="lies outside weights.bin"):
        load(save(tmp_path / "a.onnx", external("weights.bin", **words)))


def test_every_changed_bit_of_our_own_file_is_noticed(tmp_path):
    data = seal(small(arcface_colour_order="RGB", arcface_pixels="0 to 255").SerializeToString())
    path = save(tmp_path / "a.onnx", data)
    read_onnx(path)
    tail = range(8 * (len(data) - 90), 8 * len(data))
    bits = [*np.random.RandomState(0).randint(0, 8 * len(data), 300), *tail]
    for bit in bits:
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(UserError):
            read_onnx(save(path, bytes(changed)))


def test_a_shortened_file_of_our_own_is_refused(tmp_path):
    data = seal(small(arcface_colour_order="RGB").SerializeToString())
    end = len(data) - 84  # before the checksum, which is an entry of its own
    for length in [*range(10, len(data), 97), end]:
        with pytest.raises(UserError):
            read_onnx(save(tmp_path / "a.onnx", data[:length]))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["model.onnx", "model-int8.onnx"])
def test_exports_state_a_checksum(name, exported, tiny_pairs, tmp_path):
    flags = ["--onnx", "--int8", "--images", tiny_pairs]
    assert main(["export", exported, "--out", str(tmp_path / "out"), *flags]) == 0
    path = str(tmp_path / "out" / name)
    with open(path, "rb") as stream:
        data = bytearray(stream.read())
    data[len(data) // 2] ^= 1
    save(path, bytes(data))
    engine = {"model.onnx": "mxnet", "model-int8.onnx": "int8"}[name]
    with pytest.raises(UserError, match="differs from its checksum|truncated, damaged"):
        load(path if engine == "mxnet" else str(tmp_path / "out"), engine=engine)


def test_what_needs_mxnets_files_says_so(exported, tiny_faces, tmp_path, capsys):
    path = exported + "/model.onnx"
    for command in (
        ["export", path, "--out", str(tmp_path / "out")],
        ["train", "--data", tiny_faces, "--run", str(tmp_path / "run"), "--network", "init", "--init", path],
    ):
        assert main(command) == 2
        assert "is an ONNX file; this needs MXNet files, which arcface-mx import makes" in capsys.readouterr().err
    for command in (["angles", path], ["plots", path], ["report", path, "--step", "3"], ["table", path]):
        assert main(command) == 2
        assert f"{path}: is an ONNX file, and this command needs a run folder" in capsys.readouterr().err
    with pytest.raises(UserError, match="int8 is for MXNet models"):
        load(path, engine="int8")
    with pytest.raises(UserError, match="CPU only; remove `devices`"):
        load_model(path, [mx.gpu(0)])


def test_a_missing_onnx_runtime_is_one_line(exported, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UserError, match="ONNX files need onnx and onnxruntime .*: pip install 'arcface-mx.export.'"):
        load(exported + "/model.onnx")


def test_results_of_another_input_are_not_mixed(tmp_path, tiny_pairs, capsys):
    """A calibration, and the parts of an interrupted embedding, belong to one input convention."""
    path = save(tmp_path / "a.onnx", model(*projection(size=32), shape=(1, 3, 32, 32)))
    image = str(tmp_path / "a.png")
    cv2.imwrite(image, nets.images(1, (32, 32))[0])
    assert model_fingerprint(path) == model_fingerprint(path, "rgb,127.5,127.5") != model_fingerprint(path, "rgb")
    assert main(["calibrate", path, tiny_pairs, "--input", "rgb"]) == 0
    assert os.path.exists(path + "-calibration.json")
    pair = ["verify-pair", path, image, image, "--far", "0.1"]
    assert main([*pair, "--input", "rgb"]) == 0
    assert main(pair) == 2
    assert "made with other parameters" in capsys.readouterr().err
    out = str(tmp_path / "out.npz")
    assert main(["embed", path, image, out, "--input", "bgr"]) == 0
    assert read_embeddings(out).model == model_fingerprint(path, "bgr")


def test_the_session_gets_the_checked_bytes(tmp_path, monkeypatch):
    """ONNX Runtime never opens the file itself, so it sees what was checked."""
    seen = []
    session = engines.onnx_session
    monkeypatch.setattr(engines, "onnx_session", lambda data, name: seen.append(data) or session(data, name))
    path = save(tmp_path / "a.onnx", small())
    load(path)
    with open(path, "rb") as stream:
        assert seen == [stream.read()]
