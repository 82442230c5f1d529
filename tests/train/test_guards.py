"""Values that are not finite never reach the parameters, and the message says where they began."""

from __future__ import annotations

import json
import os
import re

import mxnet as mx
import numpy as np
import pytest

from arcface_mx.config import OptimizerConfig
from arcface_mx.losses import ArcFace
from arcface_mx.reader.record_reader import RecordReader
from arcface_mx.train import checkpoint
from arcface_mx.train.guards import StallDetector, all_finite, square_sums
from arcface_mx.train.run import train
from arcface_mx.train.schedule import Schedule
from arcface_mx.util.errors import UserError
from tests.support.training import assert_same, events, final, tiny

LEARNS = {"loss": "norm_softmax", "log_every": 1}


def spoil(monkeypatch, steps, poison):
    """Let `poison(module, batch)` act before the forward pass of the given steps (counted from 1)."""
    real, count = mx.mod.Module.forward_backward, []

    def forward_backward(self, batch):
        count.append(1)
        if len(count) in steps:
            poison(self, batch)
        return real(self, batch)

    monkeypatch.setattr(mx.mod.Module, "forward_backward", forward_backward)


def bad_photo(module, batch):
    batch.data[0] = mx.nd.concat(
        batch.data[0][:2], mx.nd.full((1,) + batch.data[0].shape[1:], np.nan), batch.data[0][3:], dim=0
    )


def bad_centres(module, batch):
    for array in module._exec_group.param_arrays[module._param_names.index("stage2_unit1_conv1_weight")]:
        array[0] = np.inf


@pytest.mark.parametrize("devices", ["cpu", "cpu(0),cpu(1)"])
def test_a_photo_that_is_not_finite_stops_the_run(tmp_path, tiny_faces, monkeypatch, devices):
    config = tiny(tmp_path, tiny_faces, checkpoint_every=1, devices=devices, **LEARNS)
    spoil(monkeypatch, {4}, bad_photo)
    with pytest.raises(UserError) as caught:
        train(config)
    text = str(caught.value)
    assert re.search(r"loss is nan at step 4 \(learning rate 0.05, records \d+", text)
    assert "first bad value: output of " in text and text.count("\n") == 0
    assert "checkpoints/step-00000003; no update of this step was made" in text
    assert final(config).step == 3 and all(
        np.isfinite(array.asnumpy()).all() for array in final(config).aux_params.values()
    )


def test_a_bad_parameter_is_named(tmp_path, tiny_faces, monkeypatch):
    spoil(monkeypatch, {2}, bad_centres)
    with pytest.raises(UserError, match="first bad value: parameter stage2_unit1_conv1_weight"):
        train(tiny(tmp_path, tiny_faces, **LEARNS))


def test_a_gradient_that_is_not_finite_is_seen_before_the_update(tmp_path, tiny_faces):
    """A learning rate of 1000: the loss grows without bound, and its gradient overflows first."""
    config = tiny(tmp_path, tiny_faces, loss="softmax", lr=1000.0, steps=40, checkpoint_every=1)
    with pytest.raises(
        UserError, match=r"(loss is (nan|inf|-inf)|the gradient is not finite) at step \d+ \(learning rate 1000"
    ):
        train(config)
    assert all(np.isfinite(array.asnumpy()).all() for array in final(config).arg_params.values())


@pytest.mark.slow
def test_an_allowed_bad_batch_is_skipped_counted_and_leaves_no_trace(tmp_path, tiny_faces, monkeypatch):
    config = tiny(tmp_path, tiny_faces, skip_bad_batches=2, checkpoint_every=1, keep_checkpoints=20, **LEARNS)
    spoil(monkeypatch, {5, 9}, bad_photo)
    metrics = train(config)
    assert metrics["skipped_steps"] == 2 and final(config).skipped == 2 and final(config).step == 12
    load = [checkpoint.load(checkpoint.checkpoint_path(config.run.run, step)) for step in (4, 5)]
    assert_same(*load)
    for name, array in load[0].aux_params.items():
        np.testing.assert_array_equal(array.asnumpy(), load[1].aux_params[name].asnumpy(), err_msg=name)
    with open(os.path.join(config.run.run, "log.jsonl"), encoding="utf-8") as stream:
        assert "NaN" not in stream.read()
    assert len(events(config, "skipped")) == 2


def test_one_more_than_allowed_stops_and_resume_can_allow_it(tmp_path, tiny_faces, monkeypatch):
    spoil(monkeypatch, {3, 4}, bad_photo)
    with pytest.raises(UserError, match="at step 4 .*1 bad batches were skipped before"):
        train(tiny(tmp_path, tiny_faces, skip_bad_batches=1, checkpoint_every=1, **LEARNS))
    monkeypatch.undo()
    allowing = tiny(tmp_path, tiny_faces, skip_bad_batches=2, checkpoint_every=1, **LEARNS)
    assert train(allowing)["skipped_steps"] == 1


@pytest.mark.parametrize("devices", ["cpu", "cpu(0),cpu(1)"])
def test_a_bad_part_of_an_accumulated_step_skips_all_of_it(tmp_path, tiny_faces, monkeypatch, devices):
    config = tiny(
        tmp_path,
        tiny_faces,
        devices=devices,
        skip_bad_batches=1,
        accumulate=2,
        batch_size=4,
        steps=3,
        checkpoint_every=1,
        keep_checkpoints=9,
        **LEARNS,
    )
    spoil(monkeypatch, {3}, bad_photo)
    train(config)
    states = [checkpoint.load(checkpoint.checkpoint_path(config.run.run, step)) for step in (1, 2)]
    assert_same(*states)
    for one, other in zip(*(state.device_statistics for state in states)):
        assert all((one[name].asnumpy() == other[name].asnumpy()).all() for name in one) and one
    assert states[1].aux_params and all(np.isfinite(array.asnumpy()).all() for array in states[1].aux_params.values())


def test_a_label_without_a_centre_is_refused(tmp_path, tiny_faces, monkeypatch):
    monkeypatch.setattr(RecordReader, "batches", wrong_labels(RecordReader.batches))
    with pytest.raises(UserError, match=r"record \d+ has label 5, but there are 5 classes"):
        train(tiny(tmp_path, tiny_faces, **LEARNS))


def wrong_labels(real):
    def batches(self, position=0):
        for batch in real(self, position):
            batch.labels[3] = 5
            yield batch

    return batches


@pytest.mark.parametrize(
    "value, finite", [(1.0, True), (1e30, True), (np.inf, False), (-np.inf, False), (np.nan, False)]
)
def test_all_finite(value, finite):
    """1e30: its square is no float32."""
    arrays = [mx.nd.ones((3, 2), ctx=mx.cpu(place % 2)) for place in range(250)]
    arrays[220][1, 1] = value
    assert all_finite(arrays, square_sums(arrays)) is finite
    assert all_finite(arrays[:220], square_sums(arrays[:220]))
    assert [total.shape for total in square_sums(arrays)] == [(1,), (1,)]  # one number a device


class TestStallDetector:
    def progress(self):
        schedule = Schedule.of(OptimizerConfig(steps=1000, warmup_steps=5, lr_drops=()), batch_size=10)
        first = ArcFace().expected_first_loss(1000, 512)
        return StallDetector(schedule, images=100, num_classes=1000, first_loss=first, scale=64.0)

    def test_a_stuck_run_is_named_once_and_not_before_an_epoch(self):
        progress, figures = self.progress(), {"loss": 100.0, "target_angle": 89.5}
        assert progress.look(14, figures) == ""
        text = progress.look(15, figures)
        assert "not learning" in text and "89.5°" in text and "`margin_ramp`" in text and "data check" in text
        assert progress.look(16, figures) == ""

    def test_an_exploding_run_is_named_as_such(self):
        assert "diverging" in self.progress().look(15, {"loss": 1e6, "target_angle": 91.0})

    def test_centres_that_fell_together_are_named(self):
        text = self.progress().look(15, {"loss": 9.3, "target_angle": 4.7, "accuracy": 0.029})
        assert "collapsed" in text and "4.7°" in text and "97 %" in text

    @pytest.mark.parametrize(
        "figures",
        [
            {"loss": 100.0, "target_angle": 80.0},
            {"loss": 1.0, "target_angle": 10.0, "accuracy": 0.9},
            {"loss": 3.0, "target_angle": 89.5},
            {"loss": 100.0},
            {},
        ],
    )
    def test_a_run_that_learns_is_left_alone(self, figures):
        assert self.progress().look(500, figures) == ""

    def test_a_real_run_that_does_not_learn(self, tmp_path, tiny_faces):
        config = tiny(tmp_path, tiny_faces, lr=0.0, steps=8, log_every=8, embedding_size=128)
        train(config)
        with open(os.path.join(config.run.run, "log.jsonl"), encoding="utf-8") as stream:
            warnings = [entry["text"] for entry in map(json.loads, stream) if entry["event"] == "warning"]
        assert any(text.startswith("not learning: at step 8") for text in warnings)
