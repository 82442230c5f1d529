"""A graph that is trained has the outputs of the original, the right gradient of its slopes, and seeded dropout."""

from __future__ import annotations

import mxnet as mx
import numpy as np
import pytest

from arcface_mx import symbols
from arcface_mx.model.trainable import trainable
from tests.support.graph import assert_close, operators, run
from tests.symbols.backbones.test_backbones import numbers

SHAPE = (4, 3, 32, 32)


def network(fast):
    data = mx.sym.Variable("data")
    with mx.name.NameManager():
        return symbols.iresnet(data, 18, 8, width=0.06, input_size=32, dropout=0.0, fast_prelu=fast)


def test_slopes_get_the_gradient_of_the_fast_form_and_outputs_stay():
    fast, plain = network(True), network(False)
    values, aux = numbers(fast, SHAPE)
    shapes = dict(zip(plain.list_arguments(), plain.infer_shape(data=SHAPE)[0]))
    flat = {name: value.reshape(shapes[name]) for name, value in values.items()}
    cotangent = np.random.RandomState(0).randn(SHAPE[0], 8)
    (expected,), right = run(fast, values, cotangent=cotangent, aux=aux)
    (output,), gradients = run(trainable(plain, cudnn_dropout=True), flat, cotangent=cotangent, aux=aux)
    (original,), wrong = run(plain, flat, cotangent=cotangent, aux=aux)
    np.testing.assert_array_equal(output, original)
    slopes = [name for name in values if name.endswith("relu0_gamma") or "relu1_gamma" in name]
    assert len(slopes) == 9 and set(gradients) == set(right)
    for name, gradient in gradients.items():
        assert_close(gradient.ravel(), right[name].ravel(), 1e-4, name)
        if name not in slopes:
            np.testing.assert_array_equal(gradient, wrong[name], err_msg=name)
    # What `trainable` is for. If this fails, MXNet has been repaired.
    name = "relu0_gamma"
    assert_close(wrong[name], gradients[name] * flat[name], 1e-4)


def test_a_graph_without_prelu_and_dropout_stays_as_it_is():
    symbol = network(True)
    assert trainable(symbol, cudnn_dropout=True) is symbol


@pytest.mark.parametrize("cudnn", [False, True])
def test_dropout_follows_the_seed_where_it_is_not_cudnns(cudnn):
    symbol = trainable(mx.sym.Dropout(network(False), p=0.5), cudnn)
    assert [attrs.get("cudnn_off", "False") for name, attrs in operators(symbol) if name == "Dropout"][-1] == str(
        not cudnn
    )
