"""Cross entropy, λ of A-Softmax, and what a trainer logs."""

from __future__ import annotations

import mxnet as mx
import numpy as np
import pytest

from arcface_mx.symbols import (
    a_softmax_logits,
    annealed_lambda,
    correct_without_margin,
    cross_entropy,
    margin_free_logits,
    margin_logits,
    norm_softmax_logits,
    softmax_logits,
    target_cosine,
)
from tests.support import reference
from tests.support.graph import DTYPES, TOLERANCE, assert_close, run

DATA, LABEL, WEIGHT = (mx.sym.Variable(name) for name in ("data", "label", "fc7_weight"))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("scale", [1.0, 64.0, 1000.0])
def test_cross_entropy_and_its_gradient(dtype: str, scale: float) -> None:
    random = np.random.RandomState(0)
    logits, label = scale * random.uniform(-1, 1, (6, 9)), random.randint(0, 9, 6)
    cotangent = random.randn(6)
    outputs, gradients = run(cross_entropy(DATA, LABEL), {"data": logits, "label": label}, dtype, cotangent)
    assert_close(outputs[0], reference.cross_entropy(logits, label), TOLERANCE[dtype])
    probability = np.exp(logits - logits.max(axis=1, keepdims=True))
    probability /= probability.sum(axis=1, keepdims=True)
    expected = (probability - np.eye(9)[label]) * cotangent[:, None]
    # A float32 logit of 1,000 has an error of 6e-5, and so has the exponent.
    assert_close(gradients["data"], expected, max(TOLERANCE[dtype], scale * 1e-7 if dtype == "float32" else 0.0))


def test_cross_entropy_is_right_where_the_probability_underflows() -> None:
    """s = 64 and a sample opposite its centre: p = e⁻¹²⁸ is 0 in float32, the loss is 128."""
    outputs, gradients = run(cross_entropy(DATA, LABEL), {"data": np.array([[-64.0, 64.0]]), "label": np.zeros(1)})
    assert outputs[0][0] == pytest.approx(128.0)
    # oneDNN's float32 log_softmax is 1.4e-6 off at a probability of 1.
    assert gradients["data"][0] == pytest.approx([-1.0, 1.0], abs=5e-6)


def test_annealed_lambda_follows_the_schedule_down_to_its_minimum() -> None:
    assert annealed_lambda(0) == 1000.0
    assert annealed_lambda(100) == pytest.approx(1000.0 / 13.0)
    assert annealed_lambda(10**6) == 5.0


def test_a_softmax_target_falls_without_jumps() -> None:
    angle = np.linspace(0.0, np.pi, 2001)
    inputs = {
        "data": np.stack([np.cos(angle), np.sin(angle)], axis=1),
        "fc7_weight": np.array([[1.0, 0.0]]),
        "label": np.zeros(len(angle)),
    }
    for m in range(1, 7):
        logits = run(a_softmax_logits(DATA, LABEL, 1, m, weight=WEIGHT, dtype="float64"), inputs, "float64")[0][0][:, 0]
        steps = np.diff(logits)
        assert logits[0] == pytest.approx(1.0, abs=1e-8) and logits[-1] == pytest.approx(1.0 - 2 * m, abs=1e-8)
        assert steps.max() <= 1e-9
        assert steps.min() > -m * np.pi / 2000 - 1e-9


def test_a_softmax_without_lambda_is_lambda_0() -> None:
    random = np.random.RandomState(1)
    inputs = {"data": random.randn(4, 3), "fc7_weight": random.randn(5, 3), "label": np.arange(4), "lam": np.zeros(4)}
    without = a_softmax_logits(DATA, LABEL, 5, 3, weight=WEIGHT)
    at_0 = a_softmax_logits(DATA, LABEL, 5, 3, mx.sym.Variable("lam"), weight=WEIGHT)
    inputs_without = {name: inputs[name] for name in without.list_arguments()}
    assert_close(run(without, inputs_without)[0][0], run(at_0, inputs)[0][0], 1e-6)


@pytest.mark.parametrize("m", [0, 2.5])
def test_a_softmax_needs_a_whole_m(m: float) -> None:
    with pytest.raises(ValueError, match="^`m` must"):
        a_softmax_logits(DATA, LABEL, 5, m, weight=WEIGHT)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "head",
    [
        margin_logits(DATA, LABEL, 5, weight=WEIGHT),
        norm_softmax_logits(DATA, 5, weight=WEIGHT),
        softmax_logits(DATA, 5, weight=WEIGHT, bias=mx.sym.zeros((5,))),
        a_softmax_logits(DATA, LABEL, 5, 4, weight=WEIGHT),
    ],
    ids=["margin", "norm_softmax", "softmax", "a_softmax"],
)
def test_logged_numbers_leave_the_margin_out_and_send_no_gradient(head: mx.sym.Symbol) -> None:
    random = np.random.RandomState(2)
    x, w, label = random.randn(40, 6), random.randn(5, 6), random.randint(0, 5, 40)
    arrays = {"data": x, "fc7_weight": w, "label": label}
    normalised = "unit_centres_output" in head.get_internals().list_outputs()
    plain = x @ reference.unit(w).T if normalised else x @ w.T  # the length of x changes no order

    logged = mx.sym.Group([target_cosine(DATA, LABEL, WEIGHT), correct_without_margin(head, LABEL)])
    outputs, gradients = run(logged, {name: arrays[name] for name in logged.list_arguments()})
    assert_close(outputs[0], reference.cosines(x, w)[np.arange(40), label], 1e-5)
    assert (outputs[1] == (plain.argmax(axis=1) == label)).all()
    assert 0 < outputs[1].sum() < 40
    assert all((slope == 0).all() for slope in gradients.values())
    assert margin_free_logits(head).infer_shape(data=(40, 6), fc7_weight=(5, 6))[1] == [(40, 5)]


def test_a_label_that_shares_the_highest_logit_is_correct() -> None:
    logits = np.array([[1.0, 3.0, 3.0], [3.0, 1.0, 3.0], [3.0, 3.0, 2.0], [np.nan, 1.0, 0.0]])
    outputs, _ = run(correct_without_margin(DATA, LABEL), {"data": logits, "label": np.array([2, 2, 2, 1])})
    assert outputs[0].tolist() == [1.0, 1.0, 0.0, 0.0]
