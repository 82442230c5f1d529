"""`arcface-mx import`: an ONNX or PyTorch file becomes MXNet files with the same embeddings, or nothing is written."""

from __future__ import annotations

import os

import numpy as np
import pytest

from arcface_mx.cli import main
from arcface_mx.export import convert, torch_reference
from arcface_mx.metrics.similarity import unit_vectors
from arcface_mx.model import from_torch
from arcface_mx.model.attributes import describe
from arcface_mx.model.load import load_model
from arcface_mx.model.to_onnx import to_onnx
from arcface_mx.train import checkpoint
from arcface_mx.util.errors import UserError
from tests.conftest import shared_path
from tests.support import nets, onnx_files, torch_files
from tests.support.onnx_files import model, node, projection
from tests.support.reference_networks import convolve

SIZE = (32, 32)


@pytest.fixture
def needs_onnx():
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")


def imported(source, tmp_path, *flags):
    """Import a file and return the embedder of the result."""
    assert main(["import", source, str(tmp_path / "net"), *flags]) == 0
    return load_model(str(tmp_path / "net") + ",0")


@pytest.mark.parametrize("name", ["iresnet18", "mobilefacenet"])
def test_an_exported_network_comes_back_with_its_names(name, tmp_path, needs_onnx):
    symbol, arguments, states = nets.backbone(name)
    data = to_onnx(symbol, arguments, states, "data", SIZE, describe(SIZE, 16))
    made = imported(onnx_files.save(tmp_path / "a.onnx", data), tmp_path)
    assert made.params[0].keys() == arguments.keys() and made.params[1].keys() == states.keys()
    for mine, theirs in zip(made.params, (arguments, states)):
        for key, value in mine.items():
            if key != "fc1_gamma":  # fixed at 1 in the graph
                np.testing.assert_array_equal(value.asnumpy(), theirs[key].asnumpy())
    images = nets.images(3, SIZE)
    expected = nets.outputs(symbol, arguments, states, images)
    np.testing.assert_allclose(unit_vectors(made.embed(images)), unit_vectors(expected), atol=1e-5)


def torch_like(batch="batch"):
    """Nodes as PyTorch's exporter writes them: a reshape with a computed shape, MatMul + Add, shared arrays, Clip."""
    random = np.random.RandomState(0)
    arrays = {
        "conv.weight": random.normal(0, 0.3, (4, 3, 3, 3)).astype(np.float32),
        "conv.bias": random.normal(0, 0.3, 4).astype(np.float32),
        "slope": random.uniform(0.1, 0.9, (4, 1, 1)).astype(np.float32),
        "ones": np.ones(4, np.float32),
        "zeros": np.zeros(4, np.float32),
        "zero": np.array(0),
        "rest": np.array([-1]),
        "axes": np.array([0]),
        "low": np.float32(-0.5),
        "high": np.float32(1.5),
        "factor": random.uniform(0.5, 2, (4, 1, 1)).astype(np.float32),
        "dense": random.normal(0, 0.1, (4 * 6 * 4, 6)).astype(np.float32),
        "bias": random.normal(0, 0.5, 6).astype(np.float32),
    }
    nodes = [
        node("Conv", ["image", "conv.weight", "conv.bias"], ["1"], pads=[1, 0, 2, 1], strides=[2, 2]),
        node("BatchNormalization", ["1", "ones", "zeros", "zeros", "ones"], ["2"], epsilon=1e-5),
        node("PRelu", ["2", "slope"], ["3"]),
        node("Clip", ["3", "low", "high"], ["4"]),
        node("Mul", ["4", "factor"], ["5"]),
        node("BatchNormalization", ["5", "ones", "zeros", "ones", "ones"], ["6"], epsilon=1e-5),
        node("Add", ["6", "4"], ["7"]),
        node("Shape", ["7"], ["8"]),
        node("Gather", ["8", "zero"], ["9"], axis=0),
        node("Unsqueeze", ["9", "axes"], ["10"]),
        node("Concat", ["10", "rest"], ["11"], axis=0),
        node("Reshape", ["7", "11"], ["12"]),
        node("MatMul", ["12", "dense"], ["13"]),
        node("Add", ["bias", "13"], ["out"]),
    ]
    return model(nodes, arrays, shape=(batch, 3, 10, 9), outputs=(("out", (batch, 6)),))


@pytest.mark.parametrize("convention", ["rgb", "rgb,127.5,128", "bgr,100,60"])
def test_the_form_of_pytorch_and_the_input_are_taken_over(convention, tmp_path, needs_onnx):
    path = onnx_files.save(tmp_path / "a.onnx", torch_like())
    made, original = imported(path, tmp_path, "--input", convention), load_model(path, convention=convention)
    images = list(np.random.RandomState(1).randint(0, 256, (3, 10, 9, 3)).astype(np.uint8))
    np.testing.assert_allclose(made.embed(images), original.embed(images), rtol=1e-4, atol=1e-4)
    assert str(made.convention) == "rgb,0,1" and made.convention_is_known
    last = made.network.symbol.tojson()
    assert '"fc1"' in last and "FullyConnected" in last


def test_layers_that_share_an_array_get_their_own(tmp_path, needs_onnx):
    path = onnx_files.save(tmp_path / "a.onnx", torch_like())
    arguments, states = imported(path, tmp_path, "--input", "rgb").params
    assert sum(name.endswith("gamma") for name in arguments) == 3 and len(states) == 4


def test_an_imported_network_can_be_trained(tmp_path, tiny_faces, needs_onnx):
    symbol, arguments, states = nets.backbone("mobilefacenet")
    data = to_onnx(symbol, arguments, states, "data", SIZE, describe(SIZE, 16))
    made = imported(onnx_files.save(tmp_path / "a.onnx", data), tmp_path)
    run = str(tmp_path / "run")
    flags = "--network init --steps 1 --batch-size 4 --lr 0.01 --scale 8".split()
    assert main(["train", "--data", tiny_faces, "--run", run, "--init", str(tmp_path / "net,0"), *flags]) == 0
    trained = checkpoint.latest(run).arg_params["pre_fc1_weight"].asnumpy()
    change = np.abs(trained - made.params[0]["pre_fc1_weight"].asnumpy()).max()
    assert 0 < change < 0.1


def conv(kernel=3, filters=4, **attributes):
    """Return a network of one convolution."""
    arrays = {"w": np.ones((filters, 3, kernel, kernel), np.float32)}
    nodes = [node("Conv", ["image", "w"], ["1"], **attributes), node("GlobalAveragePool", ["1"], ["2"])]
    return model([*nodes, node("Flatten", ["2"], ["out"])], arrays)


def test_what_cannot_be_imported_is_named_and_nothing_is_written(tmp_path, needs_onnx, capsys):
    nodes, arrays = projection()
    neg = model([*nodes[:1], node("Sigmoid", ["flat"], ["s"]), node("MatMul", ["s", "weight"], ["out"])], arrays)
    mixes = [node("Reshape", ["image", "shape"], ["flat"]), nodes[1]]
    cases = {
        "the operator is not one that this reader knows": neg,
        "node 1 .*a parameter is computed from the image": model(
            [nodes[0], node("MatMul", ["flat", "flat"], ["out"])], {}
        ),
        "mixes images": model(mixes, dict(arrays, shape=np.array([2, 96]))),
        "strides, dilations, groups or padding are out of range": conv(strides=[0, 0]),
        "its strides, dilations, groups": conv(pads=[9999] * 4),
        "more than 268435456 values": conv(kernel=1, pads=[1000] * 4, strides=[1, 1], filters=128),
        "holds values that are not finite": model(nodes, {"weight": np.full((192, 4), np.nan, np.float32)}),
        "not the output of a node before it": model(nodes[::-1], arrays),
    }
    for reason, proto in cases.items():
        path = onnx_files.save(tmp_path / "a.onnx", proto)
        with pytest.raises(UserError, match=reason):
            convert.import_model(path, str(tmp_path / "net"), "rgb")
    with pytest.raises(UserError, match="does not state its input, which becomes part of the graph; give `input`"):
        convert.import_model(onnx_files.save(tmp_path / "a.onnx", model(nodes, arrays)), str(tmp_path / "net"))
    assert main(["import", str(tmp_path / "a.txt"), str(tmp_path / "net")]) == 2
    assert os.listdir(tmp_path) == ["a.onnx"]


@pytest.mark.parametrize("units, side", [((1, 2, 1, 1), 32), ((2, 1, 1, 2), 48)])
@pytest.mark.parametrize("convention", [None, "bgr,100,60"])
def test_a_state_dict_of_arcface_torch_is_imported(units, side, convention, tmp_path):
    state = torch_files.iresnet(units, side=side)
    flags = ["--input", convention] if convention else []
    made = imported(torch_files.save(tmp_path / "a.pth", state), tmp_path, *flags)
    assert (made.input_size, made.embedding_size) == ((side, side), 6)
    images = nets.images(2, (side, side))
    pixels = np.stack(images).transpose(0, 3, 1, 2).astype(np.float64)
    taken = (pixels[:, ::-1] - 100) / 60 if convention else (pixels / 255 - 0.5) / 0.5
    expected = torch_reference.iresnet_embeddings(state, taken)
    np.testing.assert_allclose(unit_vectors(made.embed(images)), unit_vectors(expected), atol=1e-5)


@pytest.mark.parametrize("stride, side", [(1, 3), (2, 3), (2, 1)])
def test_the_reference_convolves_as_the_definition_says(stride, side):
    random = np.random.RandomState(0)
    values, kernels = random.normal(size=(2, 7, 6)), random.normal(size=(3, 2, side, side))
    expected = convolve(values[None], kernels, stride, side // 2)[0]
    np.testing.assert_allclose(torch_reference._convolution(values, kernels, stride), expected, atol=1e-12)


@pytest.mark.parametrize(
    "change, reason",
    [
        (lambda state: state.pop("layer3.0.conv2.weight"), "stage3_unit1_conv2_weight is missing"),
        (lambda state: state.pop("fc.weight"), "layers are missing"),
        (lambda state: state.update({"head.weight": np.zeros((2, 2), np.float32)}), "'head.weight' is not an array"),
        (lambda state: state.update({"fc.extra": np.zeros(2, np.float32)}), "it also holds pre_fc1_extra"),
        (lambda state: state.update({"prelu.weight": np.zeros(1, np.float32)}), r"relu0_gamma has shape \(1,\), not"),
        (lambda state: state.update({"fc.bias": np.full(6, np.inf, np.float32)}), "is not finite"),
    ],
)
def test_another_network_of_pytorch_is_refused(change, reason, tmp_path):
    state = torch_files.iresnet()
    change(state)
    with pytest.raises(UserError, match=reason):
        convert.import_model(torch_files.save(tmp_path / "a.pth", state), str(tmp_path / "net"))
    assert os.listdir(tmp_path) == ["a.pth"]


def test_a_network_that_differs_from_its_file_is_not_written(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(from_torch, "EPS", "0.01")
    path = torch_files.save(tmp_path / "a.pth", torch_files.iresnet())
    assert main(["import", path, str(tmp_path / "net")]) == 2
    assert "its unit embeddings differ from the network's" in capsys.readouterr().err
    assert os.listdir(tmp_path) == ["a.pth"]


def test_existing_files_are_not_replaced(tmp_path):
    path = torch_files.save(tmp_path / "a.pth", torch_files.iresnet())
    (tmp_path / "net-0000.params").write_text("kept")
    with pytest.raises(UserError, match="already exists"):
        convert.import_model(path, str(tmp_path / "net"))
    assert (tmp_path / "net-0000.params").read_text() == "kept"


@pytest.mark.slow
def test_the_published_mobileface_comes_back_from_onnx(tmp_path, needs_onnx):
    published = shared_path("zoo/mobileface_v2-symbol.json")[: -len("-symbol.json")] + ",0"
    faces = shared_path("faces/lfw/lfw.bin")
    assert main(["export", published, "--out", str(tmp_path / "out"), "--onnx", "--images", faces]) == 0
    made = imported(str(tmp_path / "out" / "model.onnx"), tmp_path, "--images", faces)
    images = nets.images(8)
    expected = unit_vectors(load_model(published).embed(images))
    np.testing.assert_allclose(unit_vectors(made.embed(images)), expected, atol=1e-5)
