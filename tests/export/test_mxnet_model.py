"""An exported model gives the same embeddings in every loader, from standard operators only."""

from __future__ import annotations

import json
import os

import mxnet as mx
import numpy as np
import pytest

from arcface_mx.cli import main
from arcface_mx.config import from_flat
from arcface_mx.model import load_model
from arcface_mx.network import embedding_symbol
from arcface_mx.train import checkpoint
from arcface_mx.train.run import train
from tests.train.test_training import TINY


@pytest.fixture(scope="module", params=["iresnet18", "mobilefacenet"])
def run(request, tmp_path_factory, tiny_faces):
    folder = str(tmp_path_factory.mktemp("export") / request.param)
    width = {"iresnet18": 0.07, "mobilefacenet": 0.2}[request.param]
    train(from_flat(dict(TINY, network=request.param, width=width, data=tiny_faces, run=folder, steps=3)))
    assert main(["export", folder, "--out", folder + "-model"]) == 0
    return folder


@pytest.fixture
def images():
    return np.random.RandomState(0).randint(0, 256, (4, 3, 32, 32)).astype(np.float32)


def module_embeddings(run, images):
    symbol, args, aux = mx.model.load_checkpoint(os.path.join(run + "-model", "model"), 0)
    module = mx.mod.Module(symbol, label_names=None)
    module.bind([("data", images.shape)], for_training=False)
    module.set_params(args, aux)
    module.forward(mx.io.DataBatch([mx.nd.array(images)]), is_train=False)
    return module.get_outputs()[0].asnumpy()


def test_module_symbolblock_and_embedder_agree(run, images):
    prefix = os.path.join(run + "-model", "model")
    block = mx.gluon.SymbolBlock.imports(prefix + "-symbol.json", ["data"], prefix + "-0000.params")
    expected = module_embeddings(run, images)
    np.testing.assert_allclose(block(mx.nd.array(images)).asnumpy(), expected, atol=1e-6)
    pixels = [image.transpose(1, 2, 0).astype(np.uint8) for image in images]
    # The embedder computes in its fast form: other roundings.
    found = load_model(run + "-model").embed(pixels)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_export_equals_the_training_network(run, images):
    from arcface_mx.train.run_folder import read_config

    config, state = read_config(run), checkpoint.newest(run)
    symbol = embedding_symbol(config, training=True)
    executor = symbol.simple_bind(mx.cpu(), grad_req="null", data=images.shape)
    executor.copy_params_from(state.arg_params, state.aux_params, allow_extra_params=True)
    trained = executor.forward(is_train=False, data=mx.nd.array(images))[0].asnumpy()
    np.testing.assert_allclose(module_embeddings(run, images), trained, rtol=0, atol=1e-6 * np.abs(trained).max())


def test_standard_operators_names_and_attributes(run):
    with open(os.path.join(run + "-model", "model-symbol.json"), encoding="utf-8") as stream:
        nodes = json.load(stream)["nodes"]
    assert nodes[-1]["name"] == "fc1"
    assert not any("_below" in node["name"] for node in nodes)
    assert any(node["attrs"].get("act_type") == "prelu" for node in nodes if node["op"] == "LeakyReLU")
    data = next(node for node in nodes if node["name"] == "data")
    assert data["attrs"]["arcface_input_size"] == "32,32" and data["attrs"]["arcface_colour_order"] == "RGB"


def test_a_run_without_checkpoint_is_refused(tmp_path, capsys):
    assert main(["export", str(tmp_path)]) == 2
    assert "config.json: no such file" in capsys.readouterr().err
