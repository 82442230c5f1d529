"""Files appear whole or not at all."""

from __future__ import annotations

import functools
import os
import stat
import subprocess
import sys
import tempfile

import pytest

from arcface_mx.util.files import atomic_write, make_temporary, temporary_directory, write_json


def test_a_file_appears_whole_or_stays_as_it_was(tmp_path):
    path = str(tmp_path / "value.json")
    write_json(path, {"a": 1})
    with pytest.raises(ZeroDivisionError), atomic_write(path, "w") as stream:
        stream.write("half")
        raise ZeroDivisionError
    with open(path, encoding="utf-8") as stream:
        assert stream.read() == '{\n  "a": 1\n}\n'
    assert os.listdir(str(tmp_path)) == ["value.json"]


def test_a_device_is_written_to_and_not_replaced():
    write_json(os.devnull, {"a": 1})
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)


def test_a_pipe_is_written_to_and_not_replaced(tmp_path):
    path = str(tmp_path / "pipe")
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    write_json(path, [1])
    assert os.read(reader, 100) == b"[\n  1\n]\n" and stat.S_ISFIFO(os.stat(path).st_mode)
    os.close(reader)


KILLED = """
import os, signal
from arcface_mx.util.files import atomic_write
with atomic_write({path!r}) as stream:
    stream.write(b"half")
    stream.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_file_of_a_killed_process_is_removed_by_the_next(tmp_path):
    path = str(tmp_path / "value.json")
    subprocess.run([sys.executable, "-c", KILLED.format(path=path)])
    assert os.listdir(str(tmp_path)) == [".value.json.new"]
    write_json(path, {"a": 1})
    assert os.listdir(str(tmp_path)) == ["value.json"]


def test_the_file_of_a_living_process_stays(tmp_path):
    path = str(tmp_path / "value.json")
    with atomic_write(path, "w") as stream:
        write_json(path, 1)
        assert os.path.exists(str(tmp_path / ".value.json.new"))
        stream.write("2\n")
    assert (tmp_path / "value.json").read_text() == "2\n" and os.listdir(str(tmp_path)) == ["value.json"]


def test_a_link_with_the_temporary_name_is_not_followed(tmp_path):
    (tmp_path / "other").write_text("stays")
    os.symlink("other", str(tmp_path / ".value.json.new"))
    write_json(str(tmp_path / "value.json"), 1)
    assert (tmp_path / "other").read_text() == "stays" and not os.path.islink(str(tmp_path / "value.json"))
    assert sorted(os.listdir(str(tmp_path))) == [".value.json.new", "other", "value.json"]


def test_a_temporary_folder_of_a_killed_process_is_removed_and_that_of_a_living_one_stays(tmp_path):
    (tmp_path / "x-left").mkdir()
    (tmp_path / "y-left").mkdir()
    with temporary_directory("x-", str(tmp_path)) as first, temporary_directory("x-", str(tmp_path)) as second:
        assert sorted(os.listdir(str(tmp_path))) == sorted(["y-left", *map(os.path.basename, (first, second))])
    assert os.listdir(str(tmp_path)) == ["y-left"]


def test_a_folder_that_cannot_be_opened_is_an_error_and_not_tried_for_ever(tmp_path, monkeypatch):
    def refused(path, flags, *more):
        raise PermissionError(13, "Permission denied", path)

    made = []
    mkdtemp = tempfile.mkdtemp
    monkeypatch.setattr(tempfile, "mkdtemp", lambda **named: made.append(named) or mkdtemp(**named))
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refused)
        with pytest.raises(PermissionError):
            make_temporary(str(tmp_path))
    assert len(made) == 1 and os.listdir(tmp_path) == []


def test_new_folders_that_vanish_are_tried_again_but_not_for_ever(tmp_path, monkeypatch):
    mkdtemp, made = tempfile.mkdtemp, []

    def removed_at_once(vanish, **named):
        made.append(mkdtemp(**named))
        if len(made) <= vanish:
            os.rmdir(made[-1])
        return made[-1]

    monkeypatch.setattr(tempfile, "mkdtemp", functools.partial(removed_at_once, 3))
    path, lock = make_temporary(str(tmp_path))
    os.close(lock)
    assert path == made[3] and os.path.isdir(path)
    monkeypatch.setattr(tempfile, "mkdtemp", functools.partial(removed_at_once, 1000))
    with pytest.raises(OSError, match="removed by another process"):
        make_temporary(str(tmp_path))
