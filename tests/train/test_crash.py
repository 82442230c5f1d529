"""A save cut off at any of its system calls leaves a whole checkpoint, old or new."""

from __future__ import annotations

import os
import shutil

import pytest

from arcface_mx.train import checkpoint
from tests.support.crash import Disk, record
from tests.train.test_checkpoint import assert_equal_states, state

# What survives: a killed process loses nothing that it wrote; a power cut loses what was not
# flushed, of names and contents both or (as with delayed allocation) of contents alone.
CRASHES = {"killed": ("seen", "seen"), "power cut": ("kept", "kept"), "power cut, names flushed": ("seen", "kept")}


@pytest.fixture
def saves(tmp_path, monkeypatch):
    """The calls of three saves with keep=1, and how many of them belong to the first one and two."""
    root, ends = str(tmp_path / "disk"), []
    os.mkdir(root)
    with record(monkeypatch, root) as calls:
        for step in (1, 2, 3):
            checkpoint.save(os.path.join(root, "run"), state(step), keep=1)
            ends.append(len(calls))
    assert [os.path.basename(path) for path in checkpoint.existing(os.path.join(root, "run"))] == ["step-00000003"]
    return root, calls, ends


@pytest.mark.parametrize("crash", sorted(CRASHES))
def test_every_prefix_of_the_calls_leaves_a_whole_checkpoint(tmp_path, saves, crash):
    root, calls, ends = saves
    kinds = [call[0] for call in calls[ends[0] : ends[1]]]
    assert kinds.count("write") >= 2 and kinds.count("fsync") >= 4 and kinds.count("rename") >= 3
    disk, found = Disk(root), []
    for done, call in enumerate(calls, 1):
        disk.apply(*call)
        if done < ends[0]:
            continue  # before the first save has ended there need be none
        target = str(tmp_path / "after")
        disk.write_out(target, *CRASHES[crash])
        newest = checkpoint.latest(os.path.join(target, "run"), log=lambda text: None)
        assert newest is not None, f"{crash} after call {done}, {call[:2]}"
        assert_equal_states(newest, state(newest.step))
        found.append(newest.step)
        assert newest.step >= sum(done >= end for end in ends)  # a save that returned is there
        shutil.rmtree(target)
    assert found == sorted(found) and set(found) == {1, 2, 3}


def test_the_model_notices_a_save_without_fsync(tmp_path, monkeypatch):
    """The proof that the test above can fail."""
    root = str(tmp_path / "disk")
    os.mkdir(root)
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    with record(monkeypatch, root) as calls:
        checkpoint.save(os.path.join(root, "run"), state(1), keep=1)
    disk = Disk(root)
    for call in calls:
        if call[0] != "fsync":
            disk.apply(*call)
    disk.write_out(str(tmp_path / "after"), "kept", "kept")
    assert checkpoint.latest(str(tmp_path / "after" / "run")) is None
