"""What a killed process left is removed by the next, and what a living process holds is not."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from arcface_mx.util import locks
from arcface_mx.util.files import atomic_directory

KILLED = """
import os, signal
from arcface_mx.util.files import atomic_directory
with atomic_directory({path!r}) as folder:
    open(os.path.join(folder, "half"), "w").close()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_folder_of_a_killed_process_is_removed_by_the_next(tmp_path):
    path = str(tmp_path / "out")
    subprocess.run([sys.executable, "-c", KILLED.format(path=path)])
    (left,) = os.listdir(str(tmp_path))
    assert left.startswith(".out.new-")
    others = [tmp_path / ".out2.new-abc", tmp_path / ".out.damaged2", tmp_path / ".out.rendering"]
    for other in others:
        other.mkdir()
    with atomic_directory(path):
        assert left not in os.listdir(str(tmp_path))
    assert sorted(os.listdir(str(tmp_path))) == sorted(["out", *(other.name for other in others)])


def test_the_folder_of_a_living_process_stays(tmp_path):
    with atomic_directory(str(tmp_path / "out")) as first:
        with pytest.raises(ZeroDivisionError), atomic_directory(str(tmp_path / "out")) as second:
            assert first != second and os.path.isdir(first)
            raise ZeroDivisionError
        assert os.path.isdir(first) and not os.path.exists(second)


def test_a_folder_has_one_holder_and_must_exist(tmp_path):
    held = locks.lock_folder(str(tmp_path))
    assert held is not None and locks.lock_folder(str(tmp_path)) is None
    os.close(held)
    again = locks.lock_folder(str(tmp_path))
    assert again is not None
    os.close(again)
    assert locks.lock_folder(str(tmp_path / "none")) is None


def test_without_locks_nothing_is_removed(tmp_path, monkeypatch):
    def no_locks(descriptor, operation):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(locks.fcntl, "flock", no_locks)
    (tmp_path / ".out.new-abc").mkdir()
    with atomic_directory(str(tmp_path / "out")):
        pass
    assert sorted(os.listdir(str(tmp_path))) == [".out.new-abc", "out"]
