"""The compiled head equals the literal graph and the NumPy reference: outputs and both gradients."""

from __future__ import annotations

import mxnet as mx
import numpy as np
import pytest

from arcface_mx import symbols
from arcface_mx.native import library
from arcface_mx.symbols.margin import CLIP, POLICIES
from tests.support import reference
from tests.symbols.heads import MARGINS

pytestmark = pytest.mark.skipif(bool(library.unavailable()), reason=library.unavailable() or "available")
SHAPES = ((1, 1, 3), (5, 7, 3), (33, 251, 70))  # samples, classes, width: none a multiple of a vector


def batch(samples, classes, size, seed=0):
    """Embeddings on both sides of a right angle from their centres, float32."""
    rng = np.random.default_rng(seed)
    w = rng.normal(size=(classes, size))
    label = rng.integers(0, classes, samples)
    x = rng.normal(size=(samples, size)) + rng.uniform(-1, 2, (samples, 1)) * w[label]
    return x.astype(np.float32), w.astype(np.float32), label


def run(build, x, w, label, cotangent, ramp=None, dtype="float32"):
    """Outputs of `build`(x, label, w, ramp) and gradients of x and w of its first output."""
    values = {"x": x, "label": label, "w": w} if ramp is None else {"x": x, "label": label, "w": w, "ramp": ramp}
    data = {name: mx.nd.array(array, dtype=dtype) for name, array in values.items()}
    variables = {name: mx.sym.Variable(name, shape=array.shape, dtype=dtype) for name, array in data.items()}
    outputs = build(variables["x"], variables["label"], variables["w"], variables.get("ramp"))
    grads = {name: mx.nd.zeros(data[name].shape, dtype=dtype) for name in ("x", "w")}
    executor = outputs.bind(mx.cpu(), data, grads, {name: "write" if name in grads else "null" for name in data})
    executor.forward(is_train=True)
    heads = [mx.nd.array(cotangent, dtype=dtype)] + [mx.nd.zeros_like(output) for output in executor.outputs[1:]]
    executor.backward(heads)
    return [array.asnumpy() for array in executor.outputs + [grads["x"], grads["w"]]]


def native(n, **options):
    return lambda x, label, w, ramp: mx.sym.Group(
        list(symbols.margin_cross_entropy(x, label, n, weight=w, ramp=ramp, **options).values())
    )


def graph(n, **options):
    def build(x, label, w, ramp):
        logits = symbols.margin_logits(x, label, n, weight=w, ramp=ramp, **options)
        correct = symbols.correct_without_margin(logits, label)
        return mx.sym.Group([symbols.cross_entropy(logits, label), symbols.target_cosine(x, label, w), correct])

    return build


def assert_equal(found, expected, tolerance=1e-5):
    for one, other in zip(found, expected):
        assert np.abs(one - other).max() <= tolerance * max(1.0, np.abs(other).max())


@pytest.mark.parametrize("margins", MARGINS.values(), ids=MARGINS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_equals_algorithm_1(margins, shape):
    x, w, label = batch(*shape)
    options = dict(zip(("m1", "m2", "m3"), margins), scale=64.0)
    cotangent = np.random.default_rng(1).normal(size=shape[0])
    found = run(native(shape[1], **options), x, w, label, cotangent)
    literal = graph(shape[1], literal=True, dtype="float64", **options)
    expected = run(literal, x, w, label, cotangent, dtype="float64")
    assert_equal(found, expected)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("name", ("arcface", "sphereface_like", "cm2"))
def test_equals_the_float64_reference_beyond_pi_and_with_a_ramp(policy, name):
    x, w, label = batch(12, 9, 6, seed=3)
    x[:6] = -w[label[:6]] + 0.3 * x[:6]  # past π − m
    ramp = np.linspace(0.0, 1.0, 12)
    options = dict(zip(("m1", "m2", "m3"), MARGINS[name]), scale=16.0, policy=policy)
    cotangent = np.random.default_rng(1).normal(size=12)
    loss, _, _, dx, dw = run(native(9, **options), x, w, label, cotangent, ramp)

    def reference_loss(embedding, centres):
        logits = reference.margin_logits(embedding, centres, label, clip=CLIP, ramp=ramp, **options)
        return np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(12), label]

    expected = [reference_loss(x.astype(complex), w.astype(complex)).real]
    expected += reference.gradient(reference_loss, [x.astype(float), w.astype(float)], cotangent)
    assert_equal([loss, dx, dw], expected)


def test_finite_where_an_embedding_lies_along_or_opposite_its_centre_and_where_one_is_zero():
    x, w, label = batch(8, 20, 16)
    x[0], x[1], x[2], w[label[3]] = w[label[0]], -w[label[1]], 0.0, 0.0
    for values in run(native(20), x, w, label, np.ones(8)):
        assert np.isfinite(values).all()


def test_loss_at_scale_512_where_exponentials_underflow():
    x, w, label = batch(6, 30, 8)
    options = {"scale": 512.0, "m2": 0.0}
    found, expected = (
        run(native(30, **options), x, w, label, np.ones(6)),
        run(graph(30, **options), x, w, label, np.ones(6)),
    )
    assert_equal(found[:1], expected[:1], 1e-6)


@pytest.mark.parametrize("wrong", (-1.0, 9.0, np.nan))
def test_label_outside_the_classes_is_an_error(wrong):
    x, w, label = batch(4, 9, 5)
    with pytest.raises(mx.base.MXNetError, match="lies outside 0 to 8"):
        run(native(9), x, w, np.where(np.arange(4) == 2, wrong, label), np.ones(4))


def test_repeats_bit_for_bit_and_follows_another_batch_size():
    x, w, label = batch(33, 251, 70)
    first = run(native(251), x, w, label, np.ones(33))
    for one, other in zip(first, run(native(251), x, w, label, np.ones(33))):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_allclose(run(native(251), x[:5], w, label[:5], np.ones(5))[0], first[0][:5], rtol=1e-6, atol=1e-5)
