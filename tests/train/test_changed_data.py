"""A training compares its data with `SHA256SUMS` beside them before it starts, by size and time."""

from __future__ import annotations

import os
import shutil

import pytest

from arcface_mx.data.recordio.manifest import write_manifest
from arcface_mx.train.run import train
from arcface_mx.util.errors import UserError
from tests.support.training import events, tiny


@pytest.fixture
def faces(tiny_faces, tmp_path):
    copy = str(tmp_path / "faces")
    shutil.copytree(tiny_faces, copy)
    write_manifest(copy)
    return copy


@pytest.mark.parametrize("name", ["train.rec", "train.idx", "property"])
def test_files_of_another_size_are_refused_before_anything_is_written(name, faces, tmp_path):
    with open(os.path.join(faces, name), "ab") as stream:
        stream.write(b"\n")
    config = tiny(tmp_path, faces)
    with pytest.raises(UserError, match=f"{name}: has .* bytes, but SHA256SUMS beside it says"):
        train(config)
    assert not os.path.exists(config.run.run)


def test_a_verification_set_is_compared_too(tiny_faces, tiny_pairs, tmp_path):
    copy = shutil.copy(tiny_pairs, str(tmp_path / "tiny.bin"))
    write_manifest(str(tmp_path))
    with open(copy, "ab") as stream:
        stream.write(b"more")
    with pytest.raises(UserError, match="tiny.bin: has .* bytes, but SHA256SUMS beside it says"):
        train(tiny(tmp_path, tiny_faces, eval=(copy,)))


@pytest.mark.slow
def test_newer_files_are_a_warning_in_the_log(faces, tmp_path):
    after = os.path.getmtime(os.path.join(faces, "SHA256SUMS")) + 60
    os.utime(os.path.join(faces, "train.rec"), (after, after))
    config = tiny(tmp_path, faces, steps=1)
    train(config)
    (warning,) = [entry["text"] for entry in events(config, "warning") if "SHA256SUMS" in entry["text"]]
    assert "train.rec is newer than SHA256SUMS" in warning
