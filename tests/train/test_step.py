"""What a training step does: its update against one in NumPy, its scalars, its random numbers, its log."""

from __future__ import annotations

import itertools
import math

import mxnet as mx
import numpy as np
import pytest

from arcface_mx.reader.record_reader import RecordReader
from arcface_mx.reader.samplers import RandomSampler
from arcface_mx.train.guards import Guard
from arcface_mx.train.run import train
from tests.support.training import events, interrupt_after, tiny

LR, MOMENTUM, DECAY = 0.06, 0.7, 0.02
SGD = dict(lr=LR, momentum=MOMENTUM, weight_decay=DECAY, warmup_steps=2, lr_drops=(4,), steps=5, mirror=False)
RATES = [LR / 3, LR * 2 / 3, LR, LR, LR / 10]


@pytest.fixture
def updates(monkeypatch):
    """Collect {parameter: (value before, gradient, value after)} of each update."""
    real, found = mx.mod.Module.update, []

    def update(self):
        group = self._exec_group
        names = [name for name, gradients in zip(self._param_names, group.grad_arrays) if gradients[0] is not None]
        arrays = {name: self._exec_group.execs[0].arg_dict[name] for name in names}
        gradients = {name: self._exec_group.execs[0].grad_dict[name].asnumpy().astype(np.float64) for name in names}
        before = {name: array.asnumpy().astype(np.float64) for name, array in arrays.items()}
        real(self)
        found.append({name: (before[name], gradients[name], arrays[name].asnumpy()) for name in names})

    monkeypatch.setattr(mx.mod.Module, "update", update)
    return found


def assert_sgd(updates, images, rates=RATES, decays=lambda name: name.endswith(("_weight", "_gamma")), factor=None):
    """Assert that the updates are v ← μ·v − η·(g/N + λ·w), w ← w + v, in float64."""
    assert len(updates) == len(rates)
    velocity = {name: 0.0 for name in updates[0]}
    for rate, update in zip(rates, updates):
        for name, (before, gradient, after) in update.items():
            eta = rate * (factor or {}).get(name, 1.0)
            decay = DECAY if decays(name) else 0.0
            velocity[name] = MOMENTUM * velocity[name] - eta * (gradient / images + decay * before)
            expected = before + velocity[name]
            np.testing.assert_allclose(after, expected, rtol=2e-6, atol=2e-7, err_msg=name)


def test_updates_are_those_of_sgd_across_warm_up_and_a_drop(tmp_path, tiny_faces, updates):
    config = tiny(tmp_path, tiny_faces, loss="softmax", log_every=1, **SGD)
    train(config)
    assert_sgd(updates, images=8)
    assert {name.rsplit("_", 1)[1] for name in updates[0]} == {"weight", "gamma", "beta", "bias"}
    assert [event["lr"] for event in events(config, "step")] == pytest.approx(RATES)


def test_an_accumulated_update_is_that_of_the_joint_batch_in_each_step(tmp_path, tiny_faces, updates):
    common = dict(SGD, freeze_batchnorm=True, head="graph")
    train(tiny(tmp_path, tiny_faces, "joint", **common))
    train(tiny(tmp_path, tiny_faces, "parts", **dict(common, batch_size=4, accumulate=2)))
    joint, parts = updates[:5], updates[5:]
    assert_sgd(parts, images=8)
    for one, other in zip(joint, parts):
        for name, (_, gradient, _) in one.items():
            scale = max(1.0, np.abs(gradient).max())
            np.testing.assert_allclose(other[name][1], gradient, atol=2e-4 * scale, err_msg=name)


def test_settings_of_single_parameters_reach_the_update(tmp_path, tiny_faces, updates):
    config = tiny(
        tmp_path, tiny_faces, loss="softmax", decay_all=True, freeze=("^conv0_",), lr_mult=("^fc7_=0.25",), **SGD
    )
    train(config)
    assert_sgd(updates, 8, decays=lambda name: True, factor={"fc7_weight": 0.25, "fc7_bias": 0.25})
    assert "conv0_weight" not in updates[0] and "bn0_gamma" in updates[0]


def test_scheduled_scalars_reach_every_step(tmp_path, tiny_faces, monkeypatch):
    real, found = mx.mod.Module.forward_backward, []

    def forward_backward(self, batch):
        found.append(batch.data[1].asnumpy().tolist())
        return real(self, batch)

    monkeypatch.setattr(mx.mod.Module, "forward_backward", forward_backward)
    train(tiny(tmp_path, tiny_faces, "ramp", margin_ramp=0.5, steps=4))
    assert found == [[share] * 8 for share in (0.0, 0.5, 1.0, 1.0)]
    del found[:]
    train(tiny(tmp_path, tiny_faces, "lambda", loss="a_softmax", schedule_batch=4, steps=4))
    assert np.allclose(found, [[1000.0], [1000.0 / 1.24]])  # two steps of 8 images, counted as steps of 4


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_dropout_masks_differ_between_steps_and_between_parts_of_a_step(tmp_path, tiny_faces, monkeypatch, dropout):
    """All images in one order, and parameters that stay: losses differ by dropout alone."""
    real, losses = Guard.check_finite, []

    def check_finite(self, values, *others):
        losses.append(values)
        return real(self, values, *others)

    monkeypatch.setattr(Guard, "check_finite", check_finite)
    monkeypatch.setattr(RandomSampler, "_shuffled", lambda self, epoch: np.arange(self._images))
    still = dict(lr=0.0, weight_decay=0.0, mirror=False, freeze_batchnorm=True)
    train(tiny(tmp_path, tiny_faces, dropout=dropout, batch_size=35, accumulate=2, steps=2, **still))
    assert len(losses) == 4
    for one, other in itertools.combinations(losses, 2):
        assert np.array_equal(one, other) == (dropout == 0.0)


def test_random_numbers_of_steps_follow_the_seed(tmp_path, tiny_faces, monkeypatch):
    real, seeds = mx.random.seed, []
    monkeypatch.setattr(mx.random, "seed", lambda seed: (seeds.append(seed), real(seed)))
    for seed in (0, 1):
        train(tiny(tmp_path, tiny_faces, str(seed), steps=2, seed=seed))
    assert len(seeds) == len(set(seeds)) == 2 * (1 + 2)  # initial values, and each step


@pytest.mark.parametrize(
    "values, images",
    [
        ({"batch_size": 4, "accumulate": 2}, 3 * 4 * 2),
        ({"loss": "triplet", "images_per_identity": 4, "bag": 2}, 3 * 8 * 2),
    ],
    ids=["accumulate", "bag"],
)
def test_a_resumed_run_reads_on_where_it_stopped(tmp_path, tiny_faces, monkeypatch, values, images):
    real, positions = RecordReader.batches, []

    def batches(self, position=0):
        positions.append(position)
        return real(self, position)

    monkeypatch.setattr(RecordReader, "batches", batches)
    config = tiny(tmp_path, tiny_faces, steps=4, units=(1,), **values)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupt_after(patch, 3)
        train(config)
    train(config)
    assert positions == [0, images]


TERMS = dict(loss="norm_softmax", images_per_identity=4, batch_size=20, lr=0.0)


def test_the_logged_loss_is_the_sum_of_weighted_terms(tmp_path, tiny_faces):
    weights = {"cross_entropy": 1.0, "intra": 0.5, "inter": 2.0, "triplet": 3.0}
    settings = {name + "_weight": weight for name, weight in weights.items() if name != "cross_entropy"}
    config = tiny(tmp_path, tiny_faces, steps=2, log_every=1, **TERMS, **settings)
    train(config)
    for event in events(config, "step"):
        assert event["loss"] == pytest.approx(sum(weight * event[name] for name, weight in weights.items()), rel=1e-5)
        assert 0.0 < event["intra"] < 1.0 and -1.0 < event["inter"] < 0.0 and event["triplet"] > 0.0


def test_a_log_line_has_the_means_of_the_steps_since_the_one_before(tmp_path, tiny_faces):
    still = dict(lr=0.0, weight_decay=0.0, steps=6)
    each, thirds = (tiny(tmp_path, tiny_faces, str(every), log_every=every, **still) for every in (1, 3))
    train(each)
    train(thirds)
    single = events(each, "step")
    for place, event in enumerate(events(thirds, "step")):
        part = single[3 * place : 3 * place + 3]
        for name in ("loss", "target_angle", "accuracy"):
            assert event[name] == pytest.approx(np.mean([one[name] for one in part]), rel=1e-5)
        counts = np.sum([one["target_angle_histogram"] for one in part], axis=0)
        assert event["target_angle_histogram"] == counts.tolist() and counts.sum() == 3 * 8
        assert event["epoch"] == pytest.approx(3 * (place + 1) * 8 / 35)
    # Angles of random directions in 16 dimensions vary by 15° around 90°.
    assert abs(np.mean([one["target_angle"] for one in single]) - 90.0) < 4 * 15 / math.sqrt(48)


def test_images_beyond_the_last_angle_are_counted(tmp_path, tiny_faces):
    """Beyond π − m the target logit of ArcFace rises again: with m = 1.5 from 94° on."""
    config = tiny(tmp_path, tiny_faces, m=1.5, steps=3, log_every=1)
    train(config)
    for event in events(config, "step"):
        above = sum(event["target_angle_histogram"][48:])  # from 96° on
        assert above <= event["past_pi_minus_m"] <= sum(event["target_angle_histogram"][47:])
