"""If the disk is full while records are written, there is one clear error and no partial set."""

from __future__ import annotations

import os
import subprocess

import pytest

from arcface_mx.data.recordio.writer import RecordWriter
from arcface_mx.util.errors import UserError
from tests.conftest import tiny_image


def mount(place, size):
    os.makedirs(place, exist_ok=True)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", place], capture_output=True).returncode:
        pytest.skip("a tmpfs cannot be mounted here")


@pytest.fixture
def place(tmp_path):
    path = str(tmp_path / "disk")
    yield path
    subprocess.run(["umount", "-l", path], capture_output=True)


@pytest.mark.parametrize("size", ["20k", "60k", "96k"])
def test_a_set_on_a_full_disk_leaves_no_file(place, size):
    mount(place, size)
    folder = os.path.join(place, "faces")
    with pytest.raises(UserError, match="faces: cannot be written"):
        with RecordWriter(folder, 32, 32) as writer:
            for image in range(35):
                writer.add(image // 7, tiny_image(image // 7, image))
    assert os.listdir(place) == []


def test_what_the_system_refuses_is_one_line(monkeypatch, capsys):
    from arcface_mx import cli
    from arcface_mx.cli import doctor

    def full(args):
        raise OSError(28, "No space left on device", "runs/a/figure.png")

    monkeypatch.setattr(doctor, "run", full)
    assert cli.main(["doctor"]) == 2
    assert capsys.readouterr().err == "arcface-mx: error: [Errno 28] No space left on device: 'runs/a/figure.png'\n"
