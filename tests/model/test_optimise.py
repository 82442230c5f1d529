"""The optimised form of a graph gives the same embeddings, also in the embedder that uses it."""

from __future__ import annotations

import json

import mxnet as mx
import numpy as np
import pytest

from arcface_mx.model.embedder import Embedder
from arcface_mx.model.optimise import optimise
from arcface_mx.symbols import backbone
from tests.support import nets

SIZE = (32, 32)


def parameters(symbol):
    """Slopes and gammas of both signs, variances away from 1."""
    args, aux = nets.parameters(symbol, SIZE)
    rng = np.random.default_rng(0)
    for name, value in args.items():
        if name.endswith("gamma"):
            args[name] = mx.nd.array(rng.uniform(-0.5, 1.5, value.shape))
    return args, aux


def operators(symbol):
    return [node["op"] for node in json.loads(symbol.tojson())["nodes"]]


@pytest.mark.parametrize("name", ("iresnet18", "mobilefacenet", "gluoncv:resnet18_v1b"))
def test_the_optimised_form_gives_the_same_embeddings_without_prelu(name):
    width = {} if name.startswith("gluoncv") else {"width": 0.1}
    symbol = backbone(name, mx.sym.Variable("data"), embedding_size=8, input_size=32, **width)
    args, aux = parameters(symbol)
    before = {key: value.asnumpy() for key, value in args.items()}
    fast, fast_args, fast_aux = optimise(symbol, args, aux, "data", SIZE)
    images = nets.images(3, SIZE)
    expected = nets.outputs(symbol, args, aux, images)
    outputs = nets.outputs(fast, fast_args, fast_aux, images)
    np.testing.assert_allclose(outputs, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    assert "LeakyReLU" not in operators(fast) and len(fast.list_outputs()) == 1
    assert all((args[key].asnumpy() == value).all() for key, value in before.items())


@pytest.mark.parametrize("name", ("iresnet18", "mobilefacenet", "gluoncv:resnet18_v1b"))
def test_every_batch_gives_the_same_embeddings(name):
    """A fused layer can work once and fail with the second batch."""
    width = {} if name.startswith("gluoncv") else {"width": 0.1}
    symbol = backbone(name, mx.sym.Variable("data"), embedding_size=8, input_size=32, **width)
    args, aux = parameters(symbol)
    images = nets.images(7, SIZE)
    expected = nets.outputs(symbol, args, aux, images)
    embedder = Embedder(symbol, args, aux, input_size=SIZE)
    for _ in range(2):
        np.testing.assert_allclose(embedder.embed(images, 2), expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_prelu_without_one_slope_per_channel_is_not_replaced():
    data = mx.sym.Variable("data")
    shared = mx.sym.LeakyReLU(data, mx.sym.Variable("shared", shape=(1,)), act_type="prelu", name="one_slope")
    flat = mx.sym.FullyConnected(shared, num_hidden=6, flatten=True, name="fc")
    symbol = mx.sym.LeakyReLU(flat, mx.sym.Variable("slopes", shape=(6,)), act_type="prelu", name="fc1")
    args, aux = nets.parameters(symbol, SIZE)
    fast, fast_args, fast_aux = optimise(symbol, args, aux, "data", SIZE)
    assert operators(fast).count("LeakyReLU") == 2 and not any("Convolution" in op for op in operators(fast))
    images = nets.images(2, SIZE)
    np.testing.assert_allclose(
        nets.outputs(fast, fast_args, fast_aux, images), nets.outputs(symbol, args, aux, images), rtol=1e-5
    )


def test_the_embedder_uses_new_parameters():
    symbol = backbone("iresnet18", mx.sym.Variable("data"), embedding_size=8, input_size=32, width=0.1)
    args, aux = parameters(symbol)
    embedder = Embedder(symbol, args, aux, input_size=SIZE)
    images = nets.images(2, SIZE)
    embedder.embed(images)
    changed = {key: value * 1.1 for key, value in args.items()}
    embedder.set_params(changed, aux)
    expected = nets.outputs(symbol, changed, aux, images)
    np.testing.assert_allclose(embedder.embed(images), expected, rtol=0, atol=1e-5 * np.abs(expected).max())
