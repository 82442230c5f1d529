"""The losses with one value for each sample: intra, inter, triplets, contrastive."""

from __future__ import annotations

import math
from typing import Any, Callable, Dict, NamedTuple

import mxnet as mx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mxnet.symbol import Symbol

from arcface_mx.symbols import (
    angular_triplet_loss,
    contrastive_loss,
    euclidean_triplet_loss,
    inter_loss,
    intra_loss,
)
from tests.support import reference
from tests.support.graph import DTYPES, TOLERANCE, assert_close, run

DATA, LABEL, WEIGHT = (mx.sym.Variable(name) for name in ("data", "label", "fc7_weight"))


class Term(NamedTuple):
    """A graph from (number of classes, dtype), and its expected values from (x, w, label)."""

    build: Callable[[int, str], Symbol]
    reference: Callable[[np.ndarray, np.ndarray, Any], np.ndarray]


def triplets(mining: str) -> Dict[str, Term]:
    return {
        "angular_triplet_" + mining: Term(
            lambda n, dtype: angular_triplet_loss(DATA, LABEL, margin=0.35, mining=mining),
            lambda x, w, label: reference.triplet_loss(reference.angles_of(x), label, 0.35, mining),
        ),
        "euclidean_triplet_" + mining: Term(
            lambda n, dtype: euclidean_triplet_loss(DATA, LABEL, margin=0.2, mining=mining),
            lambda x, w, label: reference.triplet_loss(reference.squared_distances(x), label, 0.2, mining),
        ),
    }


def contrastive(mining: str) -> Term:
    return Term(
        lambda n, dtype: contrastive_loss(DATA, LABEL, positive_margin=0.6, negative_margin=1.3, mining=mining),
        lambda x, w, label: reference.contrastive_loss(x, label, 0.6, 1.3, mining),
    )


TERMS: Dict[str, Term] = {
    "intra": Term(
        lambda n, dtype: intra_loss(DATA, LABEL, WEIGHT), lambda x, w, label: reference.intra_loss(x, w, label)
    ),
    "inter": Term(
        lambda n, dtype: inter_loss(LABEL, WEIGHT, n, dtype=dtype), lambda x, w, label: reference.inter_loss(w, label)
    ),
    "contrastive_all": contrastive("all"),
    "contrastive_batch_hard": contrastive("batch_hard"),
    **triplets("semi_hard"),
    **triplets("batch_hard"),
}
EVERY_TERM = pytest.mark.parametrize("name", sorted(TERMS))
EVERY_DTYPE = pytest.mark.parametrize("dtype", DTYPES)
ON_TUPLES = pytest.mark.parametrize("name", sorted(name for name in TERMS if "tr" in name))


def evaluate(name: str, x: np.ndarray, w: np.ndarray, label: np.ndarray, dtype: str, cotangent: np.ndarray):
    symbol = TERMS[name].build(len(w), dtype)
    arrays = {"data": x, "fc7_weight": w, "label": label}
    return run(symbol, {key: arrays[key] for key in symbol.list_arguments()}, dtype, cotangent)


def check(name: str, x: np.ndarray, w: np.ndarray, label: np.ndarray, dtype: str, tolerance: float) -> None:
    cotangent = np.random.RandomState(len(x)).randn(len(x))
    outputs, gradients = evaluate(name, x, w, label, dtype, cotangent)
    assert outputs[0].shape == (len(x),)
    assert_close(outputs[0], TERMS[name].reference(x, w, label), tolerance, "loss")
    slopes = reference.gradient(lambda a, b: TERMS[name].reference(a, b, label), [x, w], cotangent)
    for key, slope in zip(("data", "fc7_weight"), slopes):
        if key in gradients:
            assert_close(gradients[key], slope, 5 * tolerance, "gradient of " + key)


@EVERY_TERM
@settings(max_examples=8, derandomize=True, deadline=None)
@given(st.data())
def test_term_equals_reference_for_random_batches(name: str, data: st.DataObject) -> None:
    dtype = data.draw(st.sampled_from(DTYPES))
    samples, n, d = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 4)), data.draw(st.integers(3, 6))
    random = np.random.RandomState(data.draw(st.integers(0, 10**6)))
    # Identities of any size, in any order: some with one image, some absent.
    label = random.randint(0, n, samples)
    # The embeddings are long, so that the 1e-10 in L2Normalization is negligible in 2 − 2·cos.
    check(name, 10 * random.randn(samples, d), random.randn(n, d), label, dtype, TOLERANCE[dtype])


@EVERY_TERM
@EVERY_DTYPE
def test_term_equals_reference_on_a_batch_of_identities_by_images(name: str, dtype: str) -> None:
    random = np.random.RandomState(7)
    w = random.randn(5, 6)
    label = np.repeat(np.arange(5), 4)
    check(name, 10 * (w[label] + 0.8 * random.randn(20, 6)), w, label, dtype, TOLERANCE[dtype])


@EVERY_TERM
def test_gradient_is_the_slope_of_the_graph_itself(name: str) -> None:
    random = np.random.RandomState(8)
    x, w, label = random.randn(12, 6), random.randn(4, 6), np.repeat(np.arange(4), 3)
    along_x, along_w, cotangent, step = random.randn(12, 6), random.randn(4, 6), random.randn(12), 1e-6
    _, gradients = evaluate(name, x, w, label, "float64", cotangent)
    ends = [
        np.sum(cotangent * evaluate(name, x + h * along_x, w + h * along_w, label, "float64", cotangent)[0][0])
        for h in (step, -step)
    ]
    slope = sum(np.sum(gradients[k] * v) for k, v in (("data", along_x), ("fc7_weight", along_w)) if k in gradients)
    assert slope != 0.0
    assert slope == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-6)


@EVERY_TERM
@EVERY_DTYPE
@pytest.mark.parametrize("kind", ["centres coincide", "all the same", "zero", "opposite", "one class", "one sample"])
def test_term_is_finite_in_corners(name: str, dtype: str, kind: str) -> None:
    random = np.random.RandomState(9)
    n, samples = (1 if kind == "one class" else 4), (1 if kind == "one sample" else 12)
    w, label = random.randn(n, 8), np.arange(samples) % n
    x = w[label] + random.randn(samples, 8)
    if kind == "centres coincide":
        w[1] = 3.0 * w[0]
    elif kind == "all the same":
        x[:] = w[:] = x[0]
    elif kind == "zero":
        x[:], w[:] = 0.0, 0.0
    elif kind == "opposite":
        w[1], x = -w[0], -w[label]
    outputs, gradients = evaluate(name, x, w, label, dtype, random.randn(samples))
    assert np.isfinite(outputs[0]).all()
    for key, slope in gradients.items():
        assert np.isfinite(slope).all(), key
        assert np.abs(slope).max() < 1e7  # a zero embedding's slope is 1/sqrt(1e-10) times that of unit length


@ON_TUPLES
def test_identity_with_one_image_changes_nothing_for_triplets_of_others(name: str) -> None:
    """It has no positive, so its triplet loss is 0 and its anchor sends no gradient."""
    random = np.random.RandomState(10)
    x, label = random.randn(7, 5), np.array([0, 0, 0, 1, 1, 1, 2])
    last_anchor = np.eye(7)[6]
    outputs, gradients = evaluate(name, x, random.randn(3, 5), label, "float64", last_anchor)
    if "triplet" in name:
        assert outputs[0][6] == 0.0 and (gradients["data"] == 0.0).all()
    assert (outputs[0][:6] > 0).any()


def test_inter_loss_pushes_nothing_where_all_centres_are_orthogonal() -> None:
    outputs, _ = run(inter_loss(LABEL, WEIGHT, 6), {"fc7_weight": np.eye(6), "label": np.arange(3)})
    assert outputs[0] == pytest.approx([-0.5] * 3)


def test_inter_loss_makes_nothing_of_size_n_by_n() -> None:
    internals = inter_loss(LABEL, WEIGHT, 1000).get_internals()
    _, shapes, _ = internals.infer_shape(label=(4,), fc7_weight=(1000, 8))
    assert max(int(np.prod(shape)) for shape in shapes) == 1000 * 8


def test_triplet_mining_makes_nothing_of_size_n_cubed() -> None:
    internals = angular_triplet_loss(DATA, LABEL).get_internals()
    _, shapes, _ = internals.infer_shape(data=(64, 8), label=(64,))
    assert max(int(np.prod(shape)) for shape in shapes) == 64 * 64 * 2


def facenet_batch(seed: int):
    random = np.random.RandomState(seed)
    label = np.repeat(np.arange(4), 3)
    return random.randn(4, 6)[label] + random.randn(12, 6), label


def test_facenet_mining_draws_each_negative_inside_the_margin_and_no_other() -> None:
    x, label = facenet_batch(11)
    distance, margin = reference.squared_distances(x), 0.6
    symbol = euclidean_triplet_loss(DATA, LABEL, margin=margin, mining="facenet")
    executor = symbol.simple_bind(mx.cpu(), data=x.shape, label=label.shape, type_dict={"data": "float64"})
    executor.arg_dict["data"][:], executor.arg_dict["label"][:] = mx.nd.array(x, dtype="float64"), mx.nd.array(label)
    mx.random.seed(0)
    drawn = np.array([executor.forward(is_train=False)[0].asnumpy() for _ in range(400)])
    several = 0
    for a in range(12):
        sums = [0.0]  # every loss that some choice of one negative a positive gives
        for p in [p for p in range(12) if label[p] == label[a] and p != a]:
            gaps = [distance[a, n] - distance[a, p] for n in range(12) if label[n] != label[a]]
            hinges = [margin - gap for gap in gaps if 0 < gap < margin] or [0.0]
            sums = [total + hinge for total in sums for hinge in hinges]
        possible = np.array(sums) / 2
        nearest = np.abs(drawn[:, a, None] - possible).argmin(axis=1)
        assert np.abs(drawn[:, a] - possible[nearest]).max() < 1e-9
        assert len(set(nearest)) == len(possible)
        several += len(possible) > 1
    assert several >= 4


def test_facenet_mining_sends_the_gradient_of_its_triplets() -> None:
    x, label = facenet_batch(12)
    symbol = angular_triplet_loss(DATA, LABEL, mining="facenet")
    along, ends = np.random.RandomState(13).randn(*x.shape), []
    for h in (1e-6, -1e-6, 0.0):
        mx.random.seed(5)
        outputs, gradients = run(symbol, {"data": x + h * along, "label": label}, "float64")
        ends.append(outputs[0].sum())
    assert np.sum(gradients["data"] * along) == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-5)


@pytest.mark.parametrize("loss", [angular_triplet_loss, euclidean_triplet_loss])
def test_wrong_margin_or_mining_is_named(loss: Callable[..., Symbol]) -> None:
    with pytest.raises(ValueError, match="margin"):
        loss(DATA, LABEL, margin=0.0)
    with pytest.raises(ValueError, match="mining.*semi_hard"):
        loss(DATA, LABEL, mining="hardest")


@pytest.mark.parametrize(
    "arguments, named",
    [
        ({"positive_margin": -0.1, "negative_margin": 1.0}, "positive_margin"),
        ({"positive_margin": 0.5, "negative_margin": 0.5}, "negative_margin"),
        ({"positive_margin": 0.5, "negative_margin": math.inf}, "negative_margin"),
        ({"positive_margin": 0.5, "negative_margin": 1.0, "mining": "semi"}, "mining"),
    ],
)
def test_wrong_contrastive_number_is_named(arguments: Dict[str, object], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        contrastive_loss(DATA, LABEL, **arguments)  # type: ignore[arg-type]
