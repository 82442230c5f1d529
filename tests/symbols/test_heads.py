"""Tests that run over every head, literal and default: values, gradients, corner cases, JSON."""

from __future__ import annotations

from typing import Dict, Tuple

import mxnet as mx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import reference
from tests.support.graph import DTYPES, TOLERANCE, assert_close, run
from tests.symbols.heads import HEADS, Head

EVERY_HEAD = pytest.mark.parametrize("name", sorted(HEADS))
EVERY_SAFE_HEAD = pytest.mark.parametrize("name", sorted(name for name in HEADS if HEADS[name].safe))
EVERY_DTYPE = pytest.mark.parametrize("dtype", DTYPES)


def graph_of(head: Head, n: int, dtype: str = "float32") -> mx.sym.Symbol:
    data, label, weight = (mx.sym.Variable(name) for name in ("data", "label", "fc7_weight"))
    return head.build(data, label, weight, n, dtype)


def evaluate(
    head: Head, x: np.ndarray, w: np.ndarray, label: np.ndarray, dtype: str, cotangent: np.ndarray
) -> Tuple[np.ndarray, Dict[str, np.ndarray]]:
    symbol = graph_of(head, len(w), dtype)
    given_arrays = {"data": x, "fc7_weight": w, "label": label}
    inputs = {name: given_arrays[name] for name in symbol.list_arguments()}
    outputs, gradients = run(symbol, inputs, dtype, cotangent)
    return outputs[0], gradients


def at_angles(degrees: np.ndarray, n: int = 4, d: int = 6, seed: int = 0) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return embeddings of several lengths at these angles to the centres of their classes, the centres, the labels."""
    random = np.random.RandomState(seed)
    w = random.randn(n, d)
    label = random.randint(0, n, len(degrees))
    centre = w[label] / np.linalg.norm(w[label], axis=1, keepdims=True)
    aside = random.randn(len(degrees), d)
    aside -= np.sum(aside * centre, axis=1, keepdims=True) * centre
    aside /= np.linalg.norm(aside, axis=1, keepdims=True)
    angle = np.radians(degrees)[:, None]
    length = random.uniform(0.5, 20.0, (len(degrees), 1))
    return length * (np.cos(angle) * centre + np.sin(angle) * aside), w, label


@EVERY_HEAD
@settings(max_examples=6, derandomize=True, deadline=None)
@given(st.data())
def test_head_equals_reference_for_random_shapes(name: str, data: st.DataObject) -> None:
    dtype = data.draw(st.sampled_from(DTYPES))
    samples, n, d = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 5)), data.draw(st.integers(4, 8))
    random = np.random.RandomState(data.draw(st.integers(0, 10**6)))
    x, w = random.randn(samples, d), random.randn(n, d) * 0.1
    label, cotangent = random.randint(0, n, samples), random.randn(samples, n)
    logits, gradients = evaluate(HEADS[name], x, w, label, dtype, cotangent)
    expected = HEADS[name].reference(x, w, label)
    slopes = reference.gradient(lambda a, b: HEADS[name].reference(a, b, label), [x, w], cotangent)
    assert_close(logits, expected, TOLERANCE[dtype], "logits")
    assert_close(gradients["data"], slopes[0], TOLERANCE[dtype] * 4, "gradient of the embedding")
    assert_close(gradients["fc7_weight"], slopes[1], TOLERANCE[dtype] * 4, "gradient of the centres")


@EVERY_HEAD
@EVERY_DTYPE
def test_head_equals_reference_at_every_angle(name: str, dtype: str) -> None:
    # In float32 the angle itself is uncertain by eps/sin θ, and its effect on the gradient by eps/sin²θ.
    degrees = np.concatenate([np.arange(5.0, 176.0, 10.0), [] if dtype == "float32" else [0.1, 1.0, 179.0, 179.9]])
    x, w, label = at_angles(degrees)
    cotangent = np.random.RandomState(1).randn(len(x), len(w))
    logits, gradients = evaluate(HEADS[name], x, w, label, dtype, cotangent)
    slopes = reference.gradient(lambda a, b: HEADS[name].reference(a, b, label), [x, w], cotangent)
    tolerance = {"float32": 1e-4, "float64": 1e-8}[dtype]
    assert_close(logits, HEADS[name].reference(x, w, label), tolerance, "logits")
    assert_close(gradients["data"], slopes[0], tolerance, "gradient of the embedding")
    assert_close(gradients["fc7_weight"], slopes[1], tolerance, "gradient of the centres")


@EVERY_HEAD
def test_gradient_is_the_slope_of_the_graph_itself(name: str) -> None:
    """Finite differences of the graph, along random directions, in float64."""
    x, w, label = at_angles(np.linspace(10.0, 170.0, 10))
    random = np.random.RandomState(2)
    cotangent, step = random.randn(len(x), len(w)), 1e-6
    along_x, along_w = random.randn(*x.shape), random.randn(*w.shape)
    if not HEADS[name].sees_norm:  # along directions that keep every ‖x‖
        along_x -= np.sum(along_x * x, axis=1, keepdims=True) * x / np.sum(x * x, axis=1, keepdims=True)
    _, gradients = evaluate(HEADS[name], x, w, label, "float64", cotangent)
    ends = [
        np.sum(cotangent * evaluate(HEADS[name], x + h * along_x, w + h * along_w, label, "float64", cotangent)[0])
        for h in (step, -step)
    ]
    slope = np.sum(gradients["data"] * along_x) + np.sum(gradients["fc7_weight"] * along_w)
    assert slope == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-6)


CORNERS = ["centre of the class", "another centre", "opposite", "zero", "one class", "one sample", "tiny"]


def corner(kind: str) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.RandomState(3)
    n, samples = (1 if kind == "one class" else 6), (1 if kind == "one sample" else 64)
    w, label = random.randn(n, 16), random.randint(0, n, samples)
    x = {
        "centre of the class": w[label],
        "another centre": w[(label + 1) % n],
        "opposite": -w[label],
        "zero": np.zeros((samples, 16)),
        "tiny": 1e-20 * random.randn(samples, 16),
    }.get(kind, w[label] + random.randn(samples, 16))
    return x * random.uniform(0.1, 10.0, (samples, 1)), w, label


@EVERY_SAFE_HEAD
@EVERY_DTYPE
@pytest.mark.parametrize("kind", CORNERS)
def test_head_is_right_and_gradients_finite_in_corners(name: str, dtype: str, kind: str) -> None:
    x, w, label = corner(kind)
    cotangent = np.random.RandomState(4).randn(len(x), len(w))
    logits, gradients = evaluate(HEADS[name], x, w, label, dtype, cotangent)
    # The last bit of a float32 cosine at ±1 is an angle of 0.02°.
    assert_close(logits, HEADS[name].reference(x, w, label), {"float32": 1e-3, "float64": 1e-6}[dtype], "logits")
    for which, slope in gradients.items():
        assert np.isfinite(slope).all(), which


@EVERY_SAFE_HEAD
@pytest.mark.parametrize("degrees", [0.01, 179.99])
def test_gradient_stays_moderate_beside_the_clip(name: str, degrees: float) -> None:
    """The slope of arccos is cancelled by that of the cosine, so no gradient explodes near a centre."""
    x, w, label = at_angles(np.full(50, degrees), d=64)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    _, gradients = evaluate(HEADS[name], x, w, label, "float32", np.eye(len(w))[label])
    # |dψ/dθ| is at most m, |d cos(m1·θ + m2)/dθ| at most m1, and ‖W‖ at most 10.
    assert np.abs(gradients["data"]).max() < 10 * 16.0 * 5


@EVERY_HEAD
def test_head_survives_json(name: str) -> None:
    symbol = graph_of(HEADS[name], 4)
    again = mx.sym.load_json(symbol.tojson())
    assert again.tojson() == symbol.tojson()
    x, w, label = at_angles(np.linspace(20.0, 160.0, 5))
    given_arrays = {"data": x, "fc7_weight": w, "label": label}
    inputs = {argument: given_arrays[argument] for argument in symbol.list_arguments()}
    assert (run(symbol, inputs)[0][0] == run(again, inputs)[0][0]).all()
