"""Centres split over devices: the same loss, outputs and gradients as on one device."""

from __future__ import annotations

import mxnet as mx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arcface_mx.util.errors import UserError
from tests.support.modules import assert_equal, batch, make_loss, one_device, outputs, prepared, split, values

HEADS = {
    "softmax": {"loss": "softmax"},
    "ns": {"loss": "norm_softmax"},
    "a_softmax": {"loss": "a_softmax"},
    "arcface": {},
    "literal": {"literal": True},
    "cosface": {"loss": "cosface"},
    "cm2_linear": {"loss": "cm2", "policy": "linear"},
    "easy_margin": {"policy": "easy_margin"},
    "ramp": {"margin_ramp": 0.5},
    "ns+intra+inter": {"loss": "norm_softmax", "intra_weight": 1.0, "inter_weight": 1.0},
    "arcface+inter": {"inter_weight": 2.0},
    "arcface+intra": {"intra_weight": 0.5},
    "sub_centre": {"loss": "sub_centre"},
    "adaface": {"loss": "adaface", "margin_ramp": 0.5},
    "arcface+triplet": {"triplet_weight": 1.0},
}


def compare(loss, classes, width, devices, labels, steps=1, **prepared_with):
    """Every output of every step, then every parameter after the updates (with rate 1: the gradients)."""
    one = prepared(one_device(loss, classes, width), loss, len(labels), **prepared_with)
    many = prepared(split(loss, classes, width, devices), loss, len(labels), **prepared_with)
    assert_equal(values(many), values(one), 0.0)  # the same start, drawn from the same seed
    for step in range(steps):
        for module in (one, many):
            module.forward_backward(batch(loss, labels, step))
        assert_equal(outputs(many), outputs(one))
        for module in (one, many):
            module.update()
    assert_equal(values(many), values(one))


@pytest.mark.parametrize("name", HEADS)
def test_every_head_over_an_uneven_split(name):
    labels = [0, 0, 10, 3, 3, 5]
    compare(make_loss(**dict({"scale": 16.0}, **HEADS[name])), 11, 8, 3, labels)


# From 8 dimensions on: in fewer, random embeddings come so near to their centre that the slope of arccos
# lifts float32's own error above 1e-5 (one device at cosine 0.998: 6e-5 off the float64 reference).
shapes = st.tuples(st.integers(2, 4), st.integers(1, 4), st.integers(0, 30), st.integers(8, 20), st.integers(0, 999))


@pytest.mark.slow
@given(shapes, st.sampled_from(sorted(HEADS)))
@settings(max_examples=40)
def test_random_shapes(shape, name):
    devices, part, more, width, seed = shape
    classes = devices + more
    labels = np.random.RandomState(seed).randint(0, classes, devices * part)
    compare(make_loss(**dict({"scale": 16.0}, **HEADS[name])), classes, width, devices, labels, seed=seed)


@pytest.mark.parametrize("name", ["arcface", "ns+intra+inter", "softmax"])
@pytest.mark.parametrize(
    "labels", [[0, 1, 2, 0], [9, 8, 9, 9], [4, 4, 4, 4]], ids=["first device", "last device", "one class"]
)
def test_labels_on_one_device_only(name, labels):
    compare(make_loss(**dict({"scale": 64.0}, **HEADS[name])), 10, 6, 2, labels)


def test_one_class_a_device_and_one_device():
    compare(make_loss(inter_weight=1.0), 4, 6, 4, [0, 3, 3, 1])
    compare(make_loss(), 7, 6, 1, [0, 6, 3, 1])


def test_a_label_that_shares_the_highest_logit_is_correct_on_any_device():
    loss = make_loss(loss="norm_softmax")
    start = {"fc7_weight": mx.nd.ones((6, 4)), "fc1_weight": mx.nd.ones((4, 5)), "fc1_bias": mx.nd.zeros(4)}
    many = prepared(split(loss, 6, 4, 2), loss, 4, start)
    many.forward_backward(mx.io.DataBatch([mx.nd.ones((4, 5))], [mx.nd.array([0, 2, 3, 5], dtype="int32")]))
    assert outputs(many)[many.output_names.index("correct_output")].tolist() == [1.0, 1.0, 1.0, 1.0]


def test_an_embedding_along_a_centre_of_another_device_is_finite():
    loss, width = make_loss(), 4
    centres = np.eye(6, width, dtype=np.float32) + 0.01
    start = {
        "fc7_weight": mx.nd.array(centres),
        "fc1_weight": mx.nd.array(np.eye(width, 5)),
        "fc1_bias": mx.nd.zeros(width),
    }
    many = prepared(split(loss, 6, width, 2), loss, 2, start)
    pixels = np.zeros((2, 5), np.float32)
    pixels[:, :width] = centres[[0, 3]]
    many.forward_backward(mx.io.DataBatch([mx.nd.array(pixels)], [mx.nd.array([5, 0], dtype="int32")]))
    many.update()
    assert all(np.isfinite(value).all() for value in values(many).values())


def test_momentum_and_weight_decay_over_several_steps():
    options = {"learning_rate": 0.1, "momentum": 0.9, "wd": 0.01}
    compare(make_loss(scale=16.0, inter_weight=1.0), 11, 8, 3, [0, 0, 10, 3, 3, 5], steps=5, optimizer=options)
    compare(make_loss(loss="softmax"), 11, 8, 2, [0, 0, 10, 3, 3, 5], steps=3, optimizer=options)


def test_gradients_of_two_batches_add_up():
    loss, labels = make_loss(scale=16.0, inter_weight=1.0), [0, 0, 10, 3]
    one = prepared(one_device(loss, 11, 8), loss, 4, grad_req="add")
    many = prepared(split(loss, 11, 8, 2), loss, 4, grad_req="add")
    for module in (one, many):
        for number in range(2):
            module.forward_backward(batch(loss, labels, number))
        module.update()
    assert_equal(values(many), values(one))


def test_frozen_centres_stay_and_the_backbone_moves():
    loss = make_loss(inter_weight=1.0)
    many = prepared(split(loss, 6, 4, 2, fixed_param_names=["fc7_weight"]), loss, 2)
    before = values(many)
    many.forward_backward(batch(loss, [0, 5]))
    many.update()
    after = values(many)
    np.testing.assert_array_equal(before["fc7_weight"], after["fc7_weight"])
    assert np.abs(before["fc1_weight"] - after["fc1_weight"]).max() > 0


def test_centres_and_momentum_stay_on_their_device():
    loss = make_loss()
    many = prepared(split(loss, 7, 4, 2), loss, 2, optimizer={"learning_rate": 0.1, "momentum": 0.9})
    many.forward_backward(batch(loss, [0, 5]))
    many.update()
    for device, (shard, rows) in enumerate(zip(many.classifier.shards, (4, 3))):
        kept = [
            shard.parameters["fc7_weight"],
            shard.gradients["fc7_weight"],
            many._updater.states[many._indices[device]["fc7_weight"]],
        ]
        assert all(array.context == mx.cpu(device) and array.shape == (rows, 4) for array in kept)


def test_it_takes_mxnets_fit_and_score():
    pixels = np.random.RandomState(0).normal(size=(40, 5)).astype(np.float32)
    labels = (pixels[:, 0] > 0).astype(np.float32) + 2 * (pixels[:, 1] > 0)
    faces = mx.io.NDArrayIter(pixels, labels, batch_size=8, label_name="label")
    metric, rate = mx.metric.Loss(output_names=["loss_output"]), {"learning_rate": 0.5}
    module = split(make_loss(scale=8.0, m=0.1), 4, 8, 2)
    module.fit(faces, eval_metric=metric, num_epoch=1, optimizer_params=rate)
    first = module.score(faces, metric)[0][1]
    faces.reset()
    module.fit(faces, eval_metric=metric, num_epoch=10, optimizer_params=rate)
    assert module.score(faces, metric)[0][1] < 0.5 * first


@pytest.mark.parametrize("label", [-1, 6])
def test_a_label_that_is_no_class_is_refused(label):
    loss = make_loss()
    many = prepared(split(loss, 6, 4, 2), loss, 2)
    with pytest.raises(UserError, match=f"row 1 .* label {label}"):
        many.forward(batch(loss, [0, label]))


def test_a_loss_without_centres_is_refused():
    loss = make_loss(loss="triplet")
    with pytest.raises(UserError, match="the loss triplet has none"):
        prepared(split(loss, 6, 4, 2), loss, 2)
