"""Folding BatchNorm does not change what a graph computes, wherever BatchNorm is."""

from __future__ import annotations

import json

import mxnet as mx
import numpy as np
import pytest

from arcface_mx.model.fold import fold_batchnorm
from arcface_mx.symbols import backbone
from tests.support import nets

SIZE = (32, 32)


def check(symbol):
    """Fold a graph and compare outputs on random images; returns the operators that are left."""
    arguments, states = nets.plausible_parameters(symbol, SIZE)
    before = {name: value.asnumpy() for name, value in dict(arguments, **states).items()}
    folded, new_arguments, new_states = fold_batchnorm(symbol, arguments, states)
    images = nets.images(3, SIZE)
    expected = nets.outputs(symbol, arguments, states, images)
    outputs = nets.outputs(folded, new_arguments, new_states, images)
    np.testing.assert_allclose(outputs, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    assert all((dict(arguments, **states)[name].asnumpy() == value).all() for name, value in before.items())
    assert folded.list_outputs() == symbol.list_outputs()
    assert set(new_arguments) == set(folded.list_arguments()) - {"data"} and set(new_states) == set(
        folded.list_auxiliary_states()
    )
    return [node["op"] for node in json.loads(folded.tojson())["nodes"]]


@pytest.mark.parametrize(
    "name, left",
    # In IR-ResNet, eight units begin with a BatchNorm before a padded convolution, which stays.
    [("iresnet18", 8), ("mobilefacenet", 0), ("gluoncv:resnet18_v1b", 0), ("gluoncv:mobilenetv2_0.25", 0)],
)
def test_folded_backbones_give_the_same_embeddings(name, left):
    width = {} if name.startswith("gluoncv") else {"width": 0.1}
    symbol = backbone(name, mx.sym.Variable("data"), embedding_size=8, input_size=32, **width)
    operators = check(symbol)
    assert operators.count("BatchNorm") == left and "Dropout" not in operators


def conv(data, name="conv", **options):
    options = dict({"num_filter": 6, "kernel": (3, 3), "no_bias": True}, **options)
    return mx.sym.Convolution(data, name=name, **options)


def norm(data, name="bn", **options):
    return mx.sym.BatchNorm(data, name=name, **dict({"fix_gamma": False, "eps": 1e-3}, **options))


CASES = {
    "after a layer": (lambda data: norm(conv(data)), 0),
    "after a layer with bias": (lambda data: norm(conv(data, no_bias=False)), 0),
    "gamma is fixed whatever is stored": (lambda data: norm(conv(data), fix_gamma=True), 0),
    "gamma is fixed where nothing is said": (lambda data: mx.sym.BatchNorm(conv(data), name="bn"), 0),
    "after a fully connected layer": (lambda data: norm(mx.sym.FullyConnected(data, num_hidden=5, name="fc1")), 0),
    "before an unpadded convolution": (lambda data: conv(norm(data)), 0),
    "before a grouped convolution": (lambda data: conv(norm(data), num_group=3), 0),
    "before a padded convolution": (lambda data: conv(norm(data), pad=(1, 1)), 1),
    "before a fully connected layer": (lambda data: mx.sym.FullyConnected(norm(data), num_hidden=5, name="fc1"), 0),
    "through flatten": (lambda data: mx.sym.FullyConnected(mx.sym.flatten(norm(data)), num_hidden=5, name="fc1"), 0),
    "two in a row": (lambda data: norm(norm(conv(data)), "bn2"), 0),
    "twice the same channels, other axis": (lambda data: norm(conv(data, num_filter=30), axis=2), 1),
}


@pytest.mark.parametrize("case", CASES)
def test_batchnorm_is_folded_where_the_graph_allows(case):
    build, left = CASES[case]
    symbol = build(mx.sym.Variable("data"))
    if len(symbol.infer_shape(data=(1, 3) + SIZE)[1][0]) == 4:
        symbol = mx.sym.sum(symbol, axis=(2, 3))
    assert check(symbol).count("BatchNorm") == left


def test_a_layer_that_is_read_twice_is_not_folded():
    data = mx.sym.Variable("data")
    layer = conv(data)
    symbol = mx.sym.sum(norm(layer) + layer, axis=(2, 3))
    assert check(symbol).count("BatchNorm") == 1


def test_shared_weights_are_not_folded():
    data, weight = mx.sym.Variable("data"), mx.sym.Variable("shared", shape=(6, 3, 3, 3))
    first, second = conv(data, "first", weight=weight), conv(data, "second", weight=weight)
    symbol = mx.sym.sum(norm(first) + norm(second, "bn2"), axis=(2, 3))
    assert check(symbol).count("BatchNorm") == 2
