"""`network` init: the graph of a published model is trained on, whatever its layers are called."""

from __future__ import annotations

import json
import os

import mxnet as mx
import numpy as np
import pytest

from arcface_mx.cli import main
from arcface_mx.config import from_flat
from arcface_mx.model import load_model
from arcface_mx.train import checkpoint
from arcface_mx.train.run import train
from tests.support import nets
from tests.support.training import TINY

SIZE = (32, 32)
OWN = {key: value for key, value in TINY.items() if key not in ("network", "width", "embedding_size", "image_size")}


def published(folder, size=SIZE):
    """A model as others save it: another input name, a classifier on top, no sizes stated."""
    data = mx.sym.Variable("image")
    net = mx.sym.Convolution((data - 127.5) / 128, num_filter=6, kernel=(3, 3), stride=(4, 4), name="c1")
    net = mx.sym.BatchNorm(net, fix_gamma=False, name="b1")
    net = mx.sym.FullyConnected(mx.sym.LeakyReLU(net, act_type="prelu", name="a1"), num_hidden=12, name="f1")
    net = mx.sym.BatchNorm(net, fix_gamma=True, name="fc1")
    net = mx.sym.SoftmaxOutput(mx.sym.FullyConnected(net, num_hidden=3, name="fc7"), name="softmax")
    shapes, _, states = net.infer_shape(image=(1, 3) + size)
    random = np.random.RandomState(0)
    arguments = {name: mx.nd.array(random.normal(0, 0.2, shape)) for name, shape in zip(net.list_arguments(), shapes)}
    for name in ("image", "softmax_label"):
        arguments.pop(name)
    aux = {
        name: mx.nd.array(random.uniform(0.5, 1.5, shape)) for name, shape in zip(net.list_auxiliary_states(), states)
    }
    return nets.save(folder, net, arguments, aux) + ",0"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return published(tmp_path_factory.mktemp("published"))


def tuned(model, faces, run, **values):
    return train(
        from_flat(
            dict(OWN, network="init", init=model, data=faces, run=run, **dict({"steps": 3, "lr_drops": (2,)}, **values))
        )
    )


def test_it_starts_as_the_model_and_its_export_has_the_models_layers(model, tiny_faces, tmp_path, caplog):
    caplog.set_level("INFO", "arcface_mx")
    run = str(tmp_path / "run")
    tuned(model, tiny_faces, run, lr=0.0, freeze_batchnorm=True)
    images = nets.images(4, SIZE)
    np.testing.assert_allclose(load_model(run).embed(images), load_model(model).embed(images), atol=1e-5)
    assert "created anew: class centres" in caplog.text
    with open(os.path.join(run, "config.json"), encoding="utf-8") as stream:
        stored = json.load(stream)
    assert stored["data"]["image_size"] == 32 and stored["network"]["embedding_size"] == 12
    names = {node["name"] for node in json.load(open(os.path.join(run, "model-symbol.json")))["nodes"]}
    assert {"data", "c1_weight", "a1_gamma", "fc1"} <= names and "softmax" not in names


def test_it_learns_and_what_is_frozen_stays(model, tiny_faces, tmp_path):
    run = str(tmp_path / "run")
    tuned(model, tiny_faces, run, steps=30, lr_drops=(25,), freeze=("c1_weight",), log_every=10)
    before, after = load_model(model).params[0], checkpoint.latest(run).arg_params
    np.testing.assert_array_equal(after["c1_weight"].asnumpy(), before["c1_weight"].asnumpy())
    assert np.abs(after["f1_weight"].asnumpy() - before["f1_weight"].asnumpy()).max() > 1e-4
    with open(os.path.join(run, "log.jsonl"), encoding="utf-8") as stream:
        losses = [event["loss"] for event in map(json.loads, stream) if event["event"] == "step"]
    assert losses[-1] < losses[0]


def test_the_run_goes_on_and_exports(model, tiny_faces, tmp_path):
    run = str(tmp_path / "run")
    tuned(model, tiny_faces, run)
    assert main(["train", "--resume", run]) == 0
    assert main(["export", run, "--out", str(tmp_path / "out"), "--fold", "--images", tiny_faces]) == 0


@pytest.mark.parametrize(
    "values, message",
    [
        ({"init": ""}, "--network is init, the graph of --init, and --init is missing"),
        ({"image_size": 48}, "--image-size is 48, but the model of --init has 32"),
        ({"embedding_size": 64}, "--embedding-size is 64, but the model of --init has 12"),
    ],
)
def test_what_does_not_fit_is_named(model, tiny_faces, tmp_path, capsys, values, message):
    flags = dict({"init": model, "network": "init", "data": tiny_faces, "run": str(tmp_path / "run")}, **values)
    assert (
        main(["train"] + [word for key, value in flags.items() for word in ("--" + key.replace("_", "-"), str(value))])
        == 2
    )
    assert message in capsys.readouterr().err


def test_other_networks_point_to_it(model, tiny_faces, tmp_path, capsys):
    flags = [
        "--network",
        "iresnet18",
        "--width",
        "0.07",
        "--image-size",
        "32",
        "--batch-size",
        "8",
        "--steps",
        "2",
        "--lr-drops",
        "1",
    ]
    assert main(["train", "--data", tiny_faces, "--run", str(tmp_path / "run"), "--init", model] + flags) == 2
    assert "--network init, its own graph" in capsys.readouterr().err
