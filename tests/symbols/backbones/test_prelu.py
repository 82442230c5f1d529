"""The fast PReLU is the standard one: outputs, gradients, names, initial slopes."""

from __future__ import annotations

from typing import Callable

import mxnet as mx
import numpy as np
import pytest

from arcface_mx.symbols import iresnet, mobilefacenet, prelu
from tests.support.graph import DTYPES, TOLERANCE, assert_close, run
from tests.symbols.backbones.test_backbones import numbers

DATA = mx.sym.Variable("data")


@pytest.mark.parametrize("dtype", DTYPES)
def test_fast_form_equals_standard_operator(dtype: str) -> None:
    random = np.random.RandomState(0)
    x, slope, cotangent = random.randn(3, 5, 4, 4), random.uniform(-0.5, 1.5, 5), random.randn(3, 5, 4, 4)
    x[0, 0, 0, :2] = 0.0
    plain, plain_slopes = run(prelu(DATA, 5, name="relu0"), {"data": x, "relu0_gamma": slope}, dtype, cotangent)
    arrays = {"data": x, "relu0_gamma": slope.reshape(5, 1, 1, 1)}
    fast, fast_slopes = run(prelu(DATA, 5, name="relu0", fast=True), arrays, dtype, cotangent)
    # The standard operator computes in float32 even on float64 arrays.
    assert_close(fast[0], np.where(x > 0, x, x * slope[:, None, None]), TOLERANCE[dtype])
    assert_close(fast[0], plain[0], TOLERANCE["float32"])
    # At exactly 0, where both forms may choose, the gradients are not compared.
    inside = x != 0
    assert_close(fast_slopes["data"][inside], plain_slopes["data"][inside], TOLERANCE["float32"])
    assert_close(fast_slopes["relu0_gamma"].reshape(5), plain_slopes["relu0_gamma"], TOLERANCE["float32"])
    expected = cotangent * np.where(x > 0, 1, slope[:, None, None])
    assert_close(fast_slopes["data"][inside], expected[inside], TOLERANCE[dtype])
    expected = np.sum(cotangent * np.minimum(x, 0), axis=(0, 2, 3))
    assert_close(fast_slopes["relu0_gamma"].reshape(5), expected, TOLERANCE[dtype])


@pytest.mark.parametrize("builder", [iresnet, mobilefacenet])
def test_slopes_of_both_forms_have_the_same_names_and_numbers(builder: Callable[..., mx.sym.Symbol]) -> None:
    """An export reshapes (C,1,1,1) to (C,), renames nothing, and gives the same embeddings."""
    standard = builder(DATA, embedding_size=8, width=0.06, input_size=32)
    fast = builder(DATA, embedding_size=8, width=0.06, input_size=32, fast_prelu=True)
    assert fast.list_arguments() == standard.list_arguments()
    assert fast.list_auxiliary_states() == standard.list_auxiliary_states()
    values, aux = numbers(fast, (2, 3, 32, 32))
    shapes = dict(zip(standard.list_arguments(), standard.infer_shape(data=(2, 3, 32, 32))[0]))
    slopes = [name for name in values if values[name].shape != shapes[name]]
    assert slopes == [name for name in values if "relu" in name]
    exported = {name: value.reshape(shapes[name]) for name, value in values.items()}
    trained = run(fast, values, train=False, aux=aux)[0][0]
    assert_close(run(standard, exported, train=False, aux=aux)[0][0], trained, TOLERANCE["float32"])


@pytest.mark.parametrize("fast", [False, True])
def test_slopes_start_at_a_quarter_whatever_the_initializer(fast: bool) -> None:
    module = mx.mod.Module(prelu(DATA, 6, name="relu0", fast=fast), label_names=None)
    module.bind([("data", (1, 6, 2, 2))])
    module.init_params(mx.init.Xavier())
    assert (module.get_params()[0]["relu0_gamma"].asnumpy() == 0.25).all()
