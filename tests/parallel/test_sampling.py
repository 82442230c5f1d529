"""Sampled centres: exact at rate 1, otherwise the step of a smaller classifier on the drawn rows."""

from __future__ import annotations

import mxnet as mx
import numpy as np
import pytest

from arcface_mx.parallel.sampling import advice, draw, sample_size
from arcface_mx.util.errors import UserError
from tests.support.modules import assert_equal, batch, make_loss, one_device, outputs, prepared, split, values

LABELS = np.array([0, 29, 11, 11, 0, 17])
MOMENTUM = {"learning_rate": 0.1, "momentum": 0.9, "wd": 0.01}


@pytest.mark.parametrize(
    "loss", [{}, {"loss": "softmax"}, {"intra_weight": 1.0}, {"loss": "a_softmax"}, {"loss": "sub_centre"}]
)
def test_a_step_is_that_of_a_classifier_with_the_drawn_rows(loss):
    loss = make_loss(scale=16.0, sample_rate=0.5, **loss)
    many = prepared(split(loss, 40, 8, 2), loss, 6)
    before = values(many)
    mx.random.seed(3)
    many.forward_backward(batch(loss, LABELS))
    drawn = np.concatenate([shard.drawn + shard.held[0] for shard in many.classifier.shards])
    assert len(drawn) == 20 and set(LABELS) <= set(drawn)
    start = {
        name: mx.nd.array(by_class(value)[drawn].reshape((-1,) + value.shape[1:]) if name.startswith("fc7") else value)
        for name, value in before.items()
    }
    small = prepared(one_device(loss, 20, 8), loss, 6, start)
    small.forward_backward(batch(loss, np.searchsorted(drawn, LABELS)))
    assert_equal(outputs(many), outputs(small))
    many.update()
    small.update()
    after, expected = values(many), values(small)
    rest = np.setdiff1d(np.arange(40), drawn)
    for name in [name for name in before if name.startswith("fc7")]:
        np.testing.assert_array_equal(by_class(after[name])[rest], by_class(before[name])[rest])
        assert_equal({name: by_class(after.pop(name))[drawn]}, {name: by_class(expected.pop(name), 20)})
    assert_equal(after, expected)


def by_class(rows, classes=40):
    """(n·K, …) as (n, K, …)."""
    return rows.reshape((classes, -1) + rows.shape[1:])


def test_rows_that_are_not_drawn_keep_weights_and_momentum():
    loss = make_loss(scale=16.0, sample_rate=0.5)
    many = prepared(split(loss, 40, 8, 2), loss, 6, optimizer=MOMENTUM)
    many.forward_backward(batch(loss, LABELS))
    many.update()
    for step in range(3):
        weights, momentum = values(many)["fc7_weight"], many.read_momentum()["fc7_weight"].asnumpy()
        many.forward_backward(batch(loss, LABELS, step))
        drawn = np.concatenate([shard.drawn + shard.held[0] for shard in many.classifier.shards])
        rest = np.setdiff1d(np.arange(40), drawn)
        many.update()
        after = values(many)["fc7_weight"], many.read_momentum()["fc7_weight"].asnumpy()
        for now, then in zip(after, (weights, momentum)):
            np.testing.assert_array_equal(now[rest], then[rest])
            assert (np.abs(now[drawn] - then[drawn]).max(axis=1) > 0).all()


def test_rate_one_is_exact_to_the_bit():
    labels = [0, 3, 9, 9]
    plain, rated = (prepared(split(make_loss(**rate), 10, 8, 2), make_loss(), 4) for rate in ({}, {"sample_rate": 1.0}))
    for module in (plain, rated):
        module.forward_backward(batch(make_loss(), labels))
        module.update()
    assert_equal(values(rated), values(plain), 0.0)


def test_seeding_mxnet_repeats_the_draw():
    loss, seen = make_loss(sample_rate=0.5), []
    many = prepared(split(loss, 40, 8, 2), loss, 6)
    for seed in (1, 1, 2):
        mx.random.seed(seed)
        many.forward_backward(batch(loss, LABELS))
        seen.append(many.classifier.shards[0].drawn)
    np.testing.assert_array_equal(seen[0], seen[1])
    assert (seen[0] != seen[2]).any()


def test_a_batchs_classes_are_always_drawn_and_the_others_evenly():
    random, counts, times = np.random.default_rng(0), np.zeros(50), 4000
    for _ in range(times):
        chosen = draw(np.array([7, 7, 3]), 50, 14, random)
        assert len(chosen) == len(np.unique(chosen)) == 14
        counts[chosen] += 1
    assert counts[3] == counts[7] == times
    others = np.delete(counts, [3, 7]) / times
    assert np.abs(others - 12 / 48).max() < 6 * np.sqrt(0.25 * 0.75 / times)


def test_size_never_falls_below_the_batch():
    assert sample_size(0.1, 1000, 64) == 100
    assert sample_size(0.01, 1000, 64) == 64
    assert sample_size(0.01, 40, 64) == 40


def test_the_log_says_where_sampling_does_not_pay():
    assert "gains nothing" in advice(0.1, 85_742, 8)
    assert "gains nothing" not in advice(0.1, 10_000_000, 8)
    assert "gains nothing" not in advice(0.1, 85_742, 64)


def test_what_sampling_cannot_do_is_refused():
    with pytest.raises(UserError, match="`inter_weight`"):
        make_loss(sample_rate=0.5, inter_weight=1.0)
    loss = make_loss(sample_rate=0.5)
    with pytest.raises(UserError, match="`accumulate`"):
        prepared(split(loss, 40, 8, 2), loss, 2, grad_req="add")
