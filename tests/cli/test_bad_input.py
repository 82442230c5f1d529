"""Places that cannot be written are named before the work, and a full disk with its path."""

from __future__ import annotations

import errno
import os

import pytest

from arcface_mx.cli import main
from arcface_mx.export import export
from arcface_mx.train.run import train
from arcface_mx.util import files
from tests.support.training import tiny


@pytest.fixture(scope="module")
def run(tmp_path_factory, tiny_faces):
    config = tiny(tmp_path_factory.mktemp("bad"), tiny_faces, steps=1)
    train(config)
    return config.run.run


@pytest.fixture
def read_only(tmp_path, monkeypatch):
    """A folder that os.access calls read-only; root may write everywhere."""
    folder, real = str(tmp_path / "locked"), os.access
    os.mkdir(folder)
    monkeypatch.setattr(files.os, "access", lambda path, mode: not str(path).startswith(folder) and real(path, mode))
    return folder


@pytest.mark.slow
def test_a_read_only_folder_is_named_before_the_work(run, read_only, tiny_faces, tiny_pairs, capsys):
    place = os.path.join(read_only, "new")
    for words in (
        ["train", "--data", tiny_faces, "--run", place],
        ["verify", run, tiny_pairs, "--json", place],
        ["embed", run, tiny_faces, place],
        ["export", run, "--out", place],
        ["calibrate", run, tiny_pairs, "--out", place],
    ):
        assert main(words) == 2
        shown = capsys.readouterr()
        assert f"{read_only}: cannot be written to; give the name of a f" in shown.err and shown.err.count("\n") <= 2
        assert shown.out == "" and os.listdir(read_only) == []


def test_a_full_disk_is_named_with_the_path(tmp_path):
    def fill(stream):
        raise OSError(errno.ENOSPC, "No space left on device")

    path = str(tmp_path / "out.json")
    with pytest.raises(OSError, match=f"No space left on device: '{path}'"), files.atomic_write(path) as stream:
        fill(stream)
    with pytest.raises(OSError, match=f"No space left on device: '{path}'"), files.atomic_directory(path) as folder:
        fill(folder)
    assert os.listdir(tmp_path) == []


@pytest.mark.slow
def test_a_full_disk_leaves_no_half_of_an_export(run, tmp_path, monkeypatch, capsys):
    def full(path, card):
        raise OSError(errno.ENOSPC, "No space left on device", path)

    monkeypatch.setattr(export, "write_card", full)
    out = tmp_path / "out"
    assert main(["export", run, "--out", str(out)]) == 2
    assert f"No space left on device: '{out}/model-card.md'" in capsys.readouterr().err and not out.exists()
    out.mkdir()
    (out / "mine.txt").write_text("kept")
    assert main(["export", run, "--out", str(out)]) == 2 and (out / "mine.txt").exists()


def test_a_folder_in_place_of_a_set_is_named_with_the_set_in_it(tmp_path, capsys):
    (tmp_path / "held_out.bin").write_text("")
    assert main(["verify", "model,0", str(tmp_path)]) == 2
    assert (
        capsys.readouterr().err
        == f"arcface-mx: error: {tmp_path}: cannot be read: it is a folder; give {tmp_path}/held_out.bin\n"
    )
