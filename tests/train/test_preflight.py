"""What is said or refused before the first step."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest

from arcface_mx.config import OptimizerConfig, RunConfig
from arcface_mx.train import preflight
from arcface_mx.train.run import train
from arcface_mx.train.schedule import Schedule
from arcface_mx.util.errors import UserError
from tests.support.training import events, tiny


def warnings(images=1000, checkpoint_every=50, **values):
    optimizer = OptimizerConfig(**dict({"steps": 200, "lr_drops": ()}, **values))
    return preflight.schedule_warnings(Schedule.of(optimizer, batch_size=10), checkpoint_every, images)


def test_a_sensible_schedule_is_not_warned_of():
    assert warnings() == [] and warnings(lr_drops=(100,), warmup_steps=20) == []


@pytest.mark.parametrize(
    "values, words",
    [
        ({"lr_drops": (100, 200)}, "`lr_drops` 200: never reached, the run has 200 steps"),
        ({"warmup_steps": 200}, "as long as the run"),
        ({"images": 5000}, "see 2000 of the 5000 images"),
        ({"checkpoint_every": 1000}, "no checkpoint before the end, at step 200"),
    ],
)
def test_what_never_happens_is_named(values, words):
    assert [text for text in warnings(**values) if words in text]


def schedule(steps, batch_size):
    return Schedule.of(OptimizerConfig(steps=steps, lr_drops=()), batch_size)


@pytest.mark.parametrize("images, warned", [(2001, False), (2000, True), (251, True), (250, False)])
def test_fewer_than_eight_epochs_are_warned_of(images, warned):
    """2,000 images are seen: another warning says where that is less than one epoch."""
    warnings = preflight.epoch_warnings(schedule(200, 10), images)
    assert bool(warnings) == warned
    assert not warned or f"; 8 times are {-(-8 * images // 10)} steps" in warnings[0]


def test_the_papers_schedules_are_long_enough():
    for steps, images in ((32_000, 490_000), (180_000, 5_820_000)):
        assert preflight.epoch_warnings(schedule(steps, 512), images) == []
    assert preflight.epoch_warnings(schedule(32_000, 512), 5_820_000)  # CASIA's schedule on MS1MV2: 2.8 epochs


def test_an_absurd_schedule_is_refused_before_anything_is_made(tmp_path, tiny_faces):
    preflight.refuse_absurd_schedule(schedule(50_000, 512), 512)
    with pytest.raises(
        UserError, match="`steps`: 32000 steps of 512 images would see each of the 200 images 81920 times"
    ):
        preflight.refuse_absurd_schedule(schedule(32_000, 512), 200)
    with pytest.raises(UserError, match="would see each of the 35 images 68571 times"):
        train(tiny(tmp_path, tiny_faces, steps=300_000))
    assert not os.path.exists(str(tmp_path / "run"))


def test_no_room_for_checkpoints_is_refused_before_anything_is_written(tmp_path, tiny_faces, monkeypatch):
    monkeypatch.setattr(preflight, "free_bytes", lambda folder: 1000)
    with pytest.raises(UserError, match=r"run: its checkpoints need \d+ MB, and the disk has 0 MB free"):
        train(tiny(tmp_path, tiny_faces))
    assert not os.path.exists(str(tmp_path / "run"))


def test_room_follows_what_is_kept():
    def room(**values):
        options = RunConfig(**dict({"checkpoint_every": 10}, **values))
        schedule = Schedule.of(OptimizerConfig(steps=1000, lr_drops=()), 512)
        return preflight.checkpoint_room(options, schedule, 100)

    assert room(keep_checkpoints=2) == 100 + 200 * 3  # two kept, one being written; values and momentum; the export
    assert room(keep_checkpoints=2, keep_every=100) == 100 + 200 * 13
    assert room(keep_checkpoints=2, checkpoint_every=1000) == 100 + 200 * 3


def test_too_little_memory_is_warned_of(tmp_path, tiny_faces, monkeypatch):
    monkeypatch.setattr(preflight, "available_memory", lambda: 1)
    config = tiny(tmp_path, tiny_faces, steps=1)
    train(config)
    assert any(
        "of memory and 0 MB are free: lower `batch_size`" in entry["text"] for entry in events(config, "warning")
    )


def test_more_classes_than_float32_labels_tell_apart():
    index = SimpleNamespace(num_classes=(1 << 24) + 1, path="faces/train.rec")
    run = SimpleNamespace(index=index, options=RunConfig(parallel="data"))
    with pytest.raises(UserError, match="faces/train.rec: 16777217 classes; labels are float32, exact up to 16777216"):
        preflight.preflight(run, None)


def test_free_bytes_of_a_folder_that_is_not_there_yet(tmp_path):
    assert preflight.free_bytes(str(tmp_path / "a" / "b")) > 0 and preflight.available_memory() > 0
