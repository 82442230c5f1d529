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
    (output,), gradients = run(trainable(plain, cudnn_dropout=True, data=SHAPE), flat, cotangent=cotangent, aux=aux)
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


@pytest.mark.parametrize("frozen", ["conv0_weight", "relu0_gamma", "stage1"])
def test_slopes_get_their_gradient_when_other_parameters_are_frozen(frozen):
    """What is frozen has no gradient, which may change the order in which the others are computed."""
    plain = trainable(network(False), cudnn_dropout=True, data=SHAPE)
    values, aux = numbers(plain, SHAPE)
    gradients = []
    for requests in (
        {name: "write" for name in plain.list_arguments()},
        {name: "null" if frozen in name or name == "data" else "write" for name in plain.list_arguments()},
    ):
        executor = mx.sym.MakeLoss(plain).simple_bind(mx.cpu(), grad_req=requests, data=SHAPE)
        for name, array in [*executor.arg_dict.items(), *executor.aux_dict.items()]:
            array[:] = values.get(name, aux.get(name))
        executor.forward(is_train=True)
        executor.backward()
        gradients.append({name: array.asnumpy() for name, array in executor.grad_dict.items() if array is not None})
    for name, gradient in gradients[1].items():
        assert_close(gradient, gradients[0][name], 1e-5, name)


def test_a_prelu_after_a_fully_connected_layer_has_two_dimensions():
    dense = mx.sym.FullyConnected(mx.sym.Variable("data"), num_hidden=5, name="dense")
    symbol = trainable(mx.sym.LeakyReLU(dense, act_type="prelu", name="relu"), True, data=(3, 4))
    assert symbol.infer_shape(data=(3, 4))[1] == [(3, 5)]


def test_a_graph_without_prelu_and_dropout_stays_as_it_is():
    symbol = network(True)
    assert trainable(symbol, cudnn_dropout=True, data=SHAPE) is symbol


@pytest.mark.parametrize("cudnn", [False, True])
def test_dropout_follows_the_seed_where_it_is_not_cudnns(cudnn):
    symbol = trainable(mx.sym.Dropout(network(False), p=0.5), cudnn, data=SHAPE)
    assert [attrs.get("cudnn_off", "False") for name, attrs in operators(symbol) if name == "Dropout"][-1] == str(
        not cudnn
    )
