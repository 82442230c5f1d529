"""One process a run folder."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

from arcface_mx.train.lock import NAME, RunLock
from arcface_mx.train.run import train
from arcface_mx.util.errors import UserError
from tests.support.training import tiny

HOLD = """
import sys, time
from arcface_mx.train.lock import RunLock
with RunLock(sys.argv[1]) as lock:
    lock.take()
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path / "run")], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_second_process_is_refused_with_the_firsts_id(tmp_path, holder):
    with RunLock(str(tmp_path / "run")) as lock:
        with pytest.raises(UserError, match=f"run: process {holder.pid} on \\S+ \\(since .*\\) is training in it"):
            lock.take()
    holder.terminate()  # the refused one has not taken the first one's mark away
    holder.wait()
    with open(str(tmp_path / "run" / NAME)) as stream:
        assert json.load(stream)["pid"] == holder.pid


def test_a_stale_lock_is_recognised(tmp_path, holder):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with RunLock(str(tmp_path / "run")) as lock:
        lock.take()
        assert f"process {holder.pid} on" in lock.left_by and "ended here without releasing the folder" in lock.left_by


def test_an_end_in_order_leaves_nothing_behind(tmp_path):
    for _ in range(2):
        with RunLock(str(tmp_path / "run")) as lock:
            lock.take()
            lock.take()
            assert lock.left_by == ""
    assert os.path.getsize(str(tmp_path / "run" / NAME)) == 0


def test_a_file_system_without_locks_is_named(tmp_path, monkeypatch):
    import fcntl

    def no_locks(descriptor, operation):
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with RunLock(str(tmp_path / "run")) as lock:
        lock.take()
        assert "cannot be locked on this file system (No locks available)" in lock.left_by


def test_training_in_a_folder_that_another_process_holds(tmp_path, tiny_faces, holder):
    before = sorted(os.listdir(str(tmp_path / "run")))
    with pytest.raises(UserError, match=f"process {holder.pid} on"):
        train(tiny(tmp_path, tiny_faces))
    assert sorted(os.listdir(str(tmp_path / "run"))) == before
