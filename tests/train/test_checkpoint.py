"""Checkpoints come back bit for bit, and damaged ones are refused by name."""

from __future__ import annotations

import json
import os
import shutil
import subprocess

import mxnet as mx
import numpy as np
import pytest

from arcface_mx.train import checkpoint
from arcface_mx.train.state import RunState
from arcface_mx.util.errors import UserError


def state(step=7, size=3):
    random = np.random.RandomState(step)
    arrays = {name: mx.nd.array(random.normal(size=shape)) for name, shape in (("a", (size, 4)), ("b", (5,)))}
    means = [{"mean": mx.nd.array(random.normal(size=2))} for _ in range(3)]  # of two devices, and over them
    return RunState(
        step, arrays, means[2], {"a": arrays["a"] * 2}, {"step": 3}, 2, {"scale": 64.0, "good_steps": 5}, means[:2]
    )


def assert_equal_states(one, two):
    assert (one.step, one.best, one.skipped) == (two.step, two.best, two.skipped)
    assert one.loss_scale == two.loss_scale
    pairs = [(getattr(one, group), getattr(two, group)) for group in ("arg_params", "aux_params", "momentum")]
    assert len(one.device_statistics) == len(two.device_statistics)
    for first, second in pairs + list(zip(one.device_statistics, two.device_statistics)):
        assert set(first) == set(second)
        for name in first:
            np.testing.assert_array_equal(first[name].asnumpy(), second[name].asnumpy())


def names(run):
    return sorted(os.path.basename(path) for path in checkpoint.existing(str(run)))


def test_what_is_saved_comes_back(tmp_path):
    checkpoint.save(str(tmp_path), state(), keep=2)
    assert_equal_states(checkpoint.latest(str(tmp_path)), state())


def test_the_newest_are_kept(tmp_path):
    for step in (1, 2, 3, 10):
        checkpoint.save(str(tmp_path), state(step), keep=2)
    assert names(tmp_path) == ["step-00000003", "step-00000010"]


def test_every_nth_is_kept(tmp_path):
    for step in range(1, 8):
        checkpoint.save(str(tmp_path), state(step), keep=1, keep_every=3)
    assert names(tmp_path) == ["step-00000003", "step-00000006", "step-00000007"]


def test_every_flipped_bit_is_seen_and_the_one_before_is_taken(tmp_path):
    checkpoint.save(str(tmp_path / "run"), state(1), keep=2)
    path = checkpoint.save(str(tmp_path / "run"), state(2), keep=2)
    name = os.path.join(path, "arrays.params")
    for bit in np.random.RandomState(0).randint(0, 8 * os.path.getsize(name), 50):
        flip(name, bit)
        said = []
        assert checkpoint.latest(str(tmp_path / "run"), said.append).step == 1
        assert os.path.basename(path) in said[0] and ("damaged" in said[0] or "cannot be read" in said[0])
        flip(name, bit)
    assert checkpoint.latest(str(tmp_path / "run")).step == 2


def flip(path, bit):
    with open(path, "r+b") as stream:
        stream.seek(bit // 8)
        byte = stream.read(1)[0]
        stream.seek(bit // 8)
        stream.write(bytes([byte ^ 1 << (bit % 8)]))


def test_no_flipped_bit_of_the_note_changes_what_is_loaded(tmp_path):
    path = checkpoint.save(str(tmp_path), state(), keep=1)
    name = os.path.join(path, "state.json")
    refused = 0
    for bit in range(8 * os.path.getsize(name)):
        flip(name, bit)
        try:
            assert_equal_states(checkpoint.load(path), state())
        except UserError as error:
            assert path in str(error)
            refused += 1
        flip(name, bit)
    assert refused > 8 * 0.9 * os.path.getsize(name)  # the rest are spaces that became other spaces


def test_arrays_of_another_checkpoint_are_refused(tmp_path):
    one, two = (checkpoint.save(str(tmp_path), state(step), keep=2) for step in (1, 2))
    shutil.copy(os.path.join(one, "arrays.params"), os.path.join(two, "arrays.params"))
    with pytest.raises(UserError, match="do not belong together"):
        checkpoint.load(two)


def test_a_renamed_checkpoint_is_refused(tmp_path):
    path = checkpoint.save(str(tmp_path), state(5), keep=2)
    os.rename(path, checkpoint.checkpoint_path(str(tmp_path), 6))
    with pytest.raises(UserError, match="says step 5"):
        checkpoint.load(checkpoint.checkpoint_path(str(tmp_path), 6))


def test_another_format_is_refused(tmp_path):
    path = checkpoint.save(str(tmp_path), state(), keep=1)
    note_file = os.path.join(path, "state.json")
    with open(note_file) as stream:
        note = json.load(stream)
    note["format"] = 99
    with open(note_file, "w") as stream:
        json.dump(note, stream)
    with pytest.raises(UserError, match="format 99"):
        checkpoint.load(path)


def test_a_run_with_damaged_checkpoints_alone_does_not_start_anew(tmp_path):
    path = checkpoint.save(str(tmp_path), state(), keep=1)
    os.unlink(os.path.join(path, "state.json"))
    with pytest.raises(UserError, match="none of its 1 checkpoints is whole"):
        checkpoint.resume(str(tmp_path), log=lambda text: None)


def test_going_on_removes_halves_and_sets_damaged_ones_aside(tmp_path):
    for step in (1, 2):
        path = checkpoint.save(str(tmp_path), state(step), keep=2)
    os.truncate(os.path.join(path, "arrays.params"), 100)
    (tmp_path / "checkpoints" / ".step-00000003.abcd").mkdir()
    assert checkpoint.resume(str(tmp_path), log=lambda text: None).step == 1
    assert sorted(os.listdir(str(tmp_path / "checkpoints"))) == [".step-00000002.damaged", "step-00000001"]
    checkpoint.save(str(tmp_path), state(2), keep=2)
    assert checkpoint.resume(str(tmp_path)).step == 2
    assert ".step-00000002.damaged" in os.listdir(str(tmp_path / "checkpoints"))


def test_a_damaged_checkpoint_of_the_same_step_is_written_anew(tmp_path):
    path = checkpoint.save(str(tmp_path), state(1), keep=2)
    os.truncate(os.path.join(path, "arrays.params"), 100)
    checkpoint.save(str(tmp_path), state(1), keep=2)
    assert_equal_states(checkpoint.latest(str(tmp_path)), state(1))


# A disk that fills up or takes no more writes


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 256 KB; where none can be mounted (it takes root) the test skips."""
    place = tmp_path / "disk"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(place)], capture_output=True).returncode:
        pytest.skip("a tmpfs cannot be mounted here")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def refused_and_the_one_before_whole(run, message, size=4000):
    with pytest.raises(UserError, match=message):
        checkpoint.save(str(run), state(2, size), keep=2)
    assert os.listdir(os.path.join(str(run), "checkpoints")) == ["step-00000001"]
    assert_equal_states(checkpoint.latest(str(run)), state(1))


def test_a_full_disk(small_disk):
    checkpoint.save(str(small_disk), state(1), keep=2)
    refused_and_the_one_before_whole(
        small_disk, "cannot write a checkpoint .*No space left.*the one before is untouched", size=20000
    )
    checkpoint.save(str(small_disk), state(2), keep=2)  # a smaller one still fits
    assert checkpoint.latest(str(small_disk)).step == 2


def test_a_disk_that_becomes_read_only(small_disk):
    checkpoint.save(str(small_disk), state(1), keep=2)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    refused_and_the_one_before_whole(small_disk, "Read-only file system")


def test_a_quota(tmp_path):
    """RLIMIT_FSIZE stands in for a quota; it needs no rights."""
    import resource

    checkpoint.save(str(tmp_path), state(1), keep=2)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20000, before[1]))
    try:
        refused_and_the_one_before_whole(tmp_path, "File too large")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("call", ["fsync", "rename", "mkdir", "open"])
def test_a_failing_system_call(tmp_path, monkeypatch, call):
    checkpoint.save(str(tmp_path), state(1), keep=2)

    def failing(*arguments, **named):
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(os, call, failing)
        with pytest.raises(UserError, match="Permission denied"):
            checkpoint.save(str(tmp_path), state(2), keep=2)
    assert_equal_states(checkpoint.latest(str(tmp_path)), state(1))
    assert names(tmp_path) == ["step-00000001"]
