"""What is said or refused before the first step."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest

from arcface_mx.config import from_flat
from arcface_mx.train import preflight
from arcface_mx.train.run import train
from arcface_mx.train.schedule import Schedule
from arcface_mx.util.errors import UserError
from tests.train.test_training import events, tiny


def clock(images=1000, **values):
    config = from_flat(dict({"steps": 200, "batch_size": 10, "lr_drops": (), "checkpoint_every": 50}, **values))
    return preflight.clock(Schedule.of(config), config, images)


def test_a_sensible_schedule_is_not_warned_of():
    assert clock() == [] and clock(lr_drops=(100,), warmup_steps=20) == []


@pytest.mark.parametrize(
    "values, words",
    [
        ({"lr_drops": (100, 200)}, "--lr-drops 200: never reached, the run has 200 steps"),
        ({"warmup_steps": 200}, "as long as the run"),
        ({"images": 5000}, "see 2000 of the 5000 images"),
        ({"checkpoint_every": 1000}, "no checkpoint before the end, at step 200"),
    ],
)
def test_what_never_happens_is_named(values, words):
    assert [text for text in clock(**values) if words in text]


def test_no_room_for_checkpoints_is_refused_before_anything_is_written(tmp_path, tiny_faces, monkeypatch):
    monkeypatch.setattr(preflight, "free_bytes", lambda folder: 1000)
    with pytest.raises(UserError, match=r"run: its checkpoints need \d+ MB, and the disk has 0 MB free"):
        train(tiny(tmp_path, tiny_faces))
    assert not os.path.exists(str(tmp_path / "run"))


def test_room_follows_what_is_kept():
    def room(**values):
        config = from_flat(dict({"steps": 1000, "lr_drops": (), "checkpoint_every": 10}, **values))
        return preflight.checkpoint_room(config, Schedule.of(config), 100)

    assert room(keep_checkpoints=2) == 100 + 200 * 3  # two kept, one being written; values and momentum; the export
    assert room(keep_checkpoints=2, keep_every=100) == 100 + 200 * 13
    assert room(keep_checkpoints=2, checkpoint_every=1000) == 100 + 200 * 3


def test_too_little_memory_is_warned_of(tmp_path, tiny_faces, monkeypatch):
    monkeypatch.setattr(preflight, "available_memory", lambda: 1)
    config = tiny(tmp_path, tiny_faces, steps=1)
    train(config)
    assert any(
        "of memory and 0 MB are free: lower --batch-size" in entry["text"] for entry in events(config, "warning")
    )


def test_more_classes_than_float32_labels_tell_apart():
    view = SimpleNamespace(num_classes=(1 << 24) + 1, images=1)
    config = from_flat({"data": "faces"})
    with pytest.raises(UserError, match="faces: 16777217 classes; labels are float32, exact up to 16777216"):
        preflight.preflight(config, Schedule.of(config), view, None)


def test_free_bytes_of_a_folder_that_is_not_there_yet(tmp_path):
    assert preflight.free_bytes(str(tmp_path / "a" / "b")) > 0 and preflight.available_memory() > 0
