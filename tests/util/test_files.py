"""Files appear whole or not at all."""

from __future__ import annotations

import os
import stat

import pytest

from arcface_mx.util.files import atomic_write, write_json


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
