"""ONNX exports give MXNet's embeddings in ONNX Runtime, or are not written."""

from __future__ import annotations

import os

import mxnet as mx
import numpy as np
import pytest

from arcface_mx.cli import main
from arcface_mx.model.load import load_model
from tests.conftest import shared_path
from tests.support import nets

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

SIZE = (32, 32)


def network():
    """MXNet's exporter alone fails here: PReLU on a map as wide as deep, fixed gammas, x/‖x‖."""
    data = mx.sym.Variable("data", attr={"arcface_input_size": "32,32"})
    net = mx.sym.Convolution(
        (data - 127.5) * 0.0078125, num_filter=8, kernel=(3, 3), stride=(4, 4), pad=(1, 1), name="conv"
    )
    net = mx.sym.BatchNorm(net, fix_gamma=True, name="bn")
    net = mx.sym.LeakyReLU(net, act_type="prelu", name="relu")
    net = mx.sym.FullyConnected(mx.sym.Dropout(net, p=0.4), num_hidden=6, name="fc1")
    net = mx.sym.LeakyReLU(net, act_type="prelu", name="relu2")
    return mx.sym.L2Normalization(net, name="unit")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("onnx")
    symbol = network()
    arguments, states = nets.plausible_parameters(symbol, SIZE)
    arguments["relu_gamma"] = mx.nd.array(np.linspace(0.1, 0.9, 8))
    return nets.save(folder, symbol, arguments, states) + ",0"


def onnx_embeddings(path, images):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    batch = np.stack(images).transpose(0, 3, 1, 2).astype(np.float32)
    return session.run(None, {session.get_inputs()[0].name: batch})[0]


@pytest.mark.parametrize("flags", [[], ["--fold"]])
@pytest.mark.parametrize("count", [1, 5])
def test_the_onnx_file_takes_any_number_of_images(model, tiny_pairs, tmp_path, flags, count):
    out = str(tmp_path / "out")
    assert main(["export", model, "--out", out, "--onnx", "--images", tiny_pairs] + flags) == 0
    images = nets.images(count, SIZE)
    expected = load_model(model).embed(images)
    np.testing.assert_allclose(onnx_embeddings(out + "/model.onnx", images), expected, atol=1e-5)
    np.testing.assert_allclose(load_model(out).embed(images), expected, atol=1e-5)


def test_the_onnx_file_states_its_input(model, tiny_pairs, tmp_path):
    out = str(tmp_path / "out")
    assert main(["export", model, "--out", out, "--onnx", "--images", tiny_pairs]) == 0
    stored = onnx.load(out + "/model.onnx")
    metadata = {entry.key: entry.value for entry in stored.metadata_props}
    assert metadata["arcface_input_size"] == "32,32" and metadata["arcface_embedding_size"] == "6"
    shape = stored.graph.input[0].type.tensor_type.shape.dim
    assert shape[0].dim_param and [axis.dim_value for axis in shape][1:] == [3, 32, 32]


def test_a_wrong_conversion_is_refused_and_nothing_is_written(model, tiny_pairs, tmp_path, monkeypatch, capsys):
    """Without the rewriting, MXNet's exporter writes another function; the check must notice."""
    from arcface_mx.model import to_onnx

    rewrite = to_onnx._rewrite
    monkeypatch.setattr(
        to_onnx, "_rewrite", lambda graph, node, *rest: None if node.name == "relu" else rewrite(graph, node, *rest)
    )
    out = str(tmp_path / "out")
    assert main(["export", model, "--out", out, "--onnx", "--images", tiny_pairs]) == 2
    assert "ONNX model: its unit embeddings differ" in capsys.readouterr().err
    assert not os.path.exists(out)


def test_a_published_model_can_be_exported(tmp_path):
    prefix = shared_path("zoo/mobileface_v2-symbol.json")[: -len("-symbol.json")]
    images = shared_path("faces/lfw/lfw.bin")
    out = str(tmp_path / "out")
    assert main(["export", prefix + ",0", "--out", out, "--onnx", "--fold", "--images", images]) == 0


def test_missing_images_and_a_missing_folder_are_asked_for(model, tmp_path, capsys):
    assert main(["export", model, "--out", str(tmp_path / "out"), "--onnx"]) == 2
    assert "--images is missing" in capsys.readouterr().err
    assert main(["export", model, "--fold"]) == 2
    assert "--out is missing" in capsys.readouterr().err
