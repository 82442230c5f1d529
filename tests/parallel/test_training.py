"""`parallel` centres through the trainer: the same run folder, checkpoints, resume and export."""

from __future__ import annotations

import os

import mxnet as mx
import numpy as np
import pytest

from arcface_mx.train.run import train
from arcface_mx.util.errors import UserError
from tests.support.training import assert_same, events, final, interrupt_after, tiny

FROZEN = {"freeze_batchnorm": True, "steps": 3, "lr": 0.001}


@pytest.mark.parametrize(
    "loss",
    [{}, {"loss": "softmax"}, {"margin_ramp": 0.5}, {"intra_weight": 1.0, "inter_weight": 1.0}, {"loss": "a_softmax"}],
)
def test_split_centres_train_as_one_device_does(tmp_path, tiny_faces, loss):
    one = tiny(tmp_path, tiny_faces, "one", **dict(FROZEN, **loss))
    many = tiny(tmp_path, tiny_faces, "many", devices="cpu(0),cpu(1)", parallel="centres", **dict(FROZEN, **loss))
    for config in (one, many):
        train(config)
    assert_same(final(one), final(many), 1e-5)
    first, second = (events(config, "step")[-1] for config in (one, many))
    assert {name for name in first} == {name for name in second}
    assert second["loss"] == pytest.approx(first["loss"], rel=1e-4)
    assert second["target_angle"] == pytest.approx(first["target_angle"], rel=1e-4)
    assert second["accuracy"] == first["accuracy"]


def assert_near(one, two, tolerance):
    assert set(one) == set(two)
    for name in one:
        np.testing.assert_allclose(
            one[name].asnumpy(), two[name].asnumpy(), rtol=tolerance, atol=tolerance, err_msg=name
        )


@pytest.mark.slow
def test_it_learns(tmp_path, tiny_faces):
    config = tiny(tmp_path, tiny_faces, steps=60, log_every=10, devices="cpu(0),cpu(1)", parallel="centres")
    train(config)
    steps = events(config, "step")
    assert steps[-1]["loss"] < 0.7 * steps[0]["loss"] and steps[-1]["accuracy"] > 0.6


@pytest.mark.slow
@pytest.mark.parametrize("more", [{}, {"sample_rate": 0.4, "batch_size": 2}])
def test_an_interrupted_run_ends_with_the_same_bits(tmp_path, tiny_faces, monkeypatch, more):
    options = dict({"dropout": 0.3, "devices": "cpu(0),cpu(1)", "parallel": "centres"}, **more)
    unbroken, broken = (tiny(tmp_path, tiny_faces, name, **options) for name in ("unbroken", "broken"))
    train(unbroken)
    interrupt_after(monkeypatch, 5)
    with pytest.raises(KeyboardInterrupt):
        train(broken)
    monkeypatch.undo()
    assert final(broken).step == 5
    train(broken)
    one, two = final(unbroken), final(broken)
    # A checkpoint keeps the devices' mean of BatchNorm's moving statistics, which rounds; training never reads them.
    assert_near(one.aux_params, two.aux_params, 1e-6)
    assert_near(one.arg_params, two.arg_params, 0.0)
    assert_near(one.momentum, two.momentum, 0.0)


@pytest.mark.slow
def test_a_run_goes_on_with_other_devices(tmp_path, tiny_faces, monkeypatch):
    """Its checkpoint holds whole arrays: stopped on two devices split by class, it ends on one, or on three."""
    whole = tiny(tmp_path, tiny_faces, "whole", freeze_batchnorm=True, lr=0.001, steps=6)
    moved = tiny(
        tmp_path,
        tiny_faces,
        "moved",
        freeze_batchnorm=True,
        lr=0.001,
        steps=6,
        devices="cpu(0),cpu(1)",
        parallel="centres",
    )
    train(whole)
    interrupt_after(monkeypatch, 3)
    with pytest.raises(KeyboardInterrupt):
        train(moved)
    monkeypatch.undo()
    train(tiny(tmp_path, tiny_faces, "moved", freeze_batchnorm=True, lr=0.001, steps=6))
    assert_same(final(whole), final(moved), 1e-5)


def test_accumulated_gradients_are_those_of_the_joint_batch(tmp_path, tiny_faces):
    frozen = {
        "freeze_batchnorm": True,
        "lr": 0.001,
        "steps": 2,
        "mirror": False,
        "parallel": "centres",
        "devices": "cpu(0),cpu(1)",
    }
    joint = tiny(tmp_path, tiny_faces, "joint", **frozen)
    parts = tiny(tmp_path, tiny_faces, "parts", **dict(frozen, batch_size=4, accumulate=2))
    for config in (joint, parts):
        train(config)
    assert_same(final(joint), final(parts), 1e-5)


def test_the_export_is_that_of_the_state(tmp_path, tiny_faces):
    config = tiny(tmp_path, tiny_faces, steps=2, devices="cpu(0),cpu(1)", parallel="centres")
    train(config)
    stored = mx.nd.load(os.path.join(config.run.run, "model-0000.params"))
    assert "arg:fc7_weight" not in stored
    np.testing.assert_array_equal(
        stored["arg:conv0_weight"].asnumpy(), final(config).arg_params["conv0_weight"].asnumpy()
    )


@pytest.mark.parametrize(
    "values, words",
    [
        ({"devices": "cpu(0),cpu(1),cpu(2),cpu(3),cpu(4),cpu(5)", "batch_size": 12}, "5 classes do not fill 6 devices"),
        ({"devices": "cpu(0),cpu(1)", "batch_size": 9}, "must be a multiple of the 2 devices, got 9"),
        ({"loss": "triplet", "images_per_identity": 4}, "the loss triplet has none"),
        ({"parallel": "center"}, "`parallel`"),
        ({"parallel": "data", "sample_rate": 0.5}, "`sample_rate` below 1 needs `parallel` centres"),
    ],
)
def test_mistakes_are_named_and_leave_nothing(tmp_path, tiny_faces, values, words):
    with pytest.raises(UserError, match=words):
        train(tiny(tmp_path, tiny_faces, **dict({"parallel": "centres"}, **values)))
    assert not os.path.exists(str(tmp_path / "run"))
