"""`SHA256SUMS`: every changed bit is found, and sizes and times are compared at the start of a training."""

from __future__ import annotations

import os
import random
import shutil
import subprocess

import pytest

from arcface_mx.cli import main
from arcface_mx.data.check.check import check_path
from arcface_mx.data.recordio import manifest
from arcface_mx.util.errors import UserError
from tests.conftest import write_tiny_pairs

FILES = ("train.rec", "train.idx", "property", "tiny.bin")


@pytest.fixture
def folder(tiny_faces, tmp_path):
    copy = str(tmp_path / "set")
    shutil.copytree(tiny_faces, copy)
    write_tiny_pairs(os.path.join(copy, "tiny.bin"))
    manifest.write_manifest(copy)
    return copy


def flip(path, bit):
    with open(path, "r+b") as stream:
        stream.seek(bit // 8)
        (byte,) = stream.read(1)
        stream.seek(bit // 8)
        stream.write(bytes([byte ^ 1 << bit % 8]))


def problems(folder):
    return [name for name, text in manifest.compare_contents(folder).items() if text]


def test_every_flipped_bit_is_found(folder):
    chance = random.Random(0)
    assert problems(folder) == []
    for name in FILES:
        path = os.path.join(folder, name)
        for _ in range(25):
            bit = chance.randrange(8 * os.path.getsize(path))
            flip(path, bit)
            assert problems(folder) == [name]
            flip(path, bit)
    assert problems(folder) == []


def test_data_check_compares_if_asked(folder, capsys):
    assert main(["data", "check", "--verify", folder]) == 0
    assert "files compared  4" in capsys.readouterr().out
    with open(os.path.join(folder, "tiny.bin"), "rb") as stream:
        middle = 8 * stream.read().index(b"IDAT") + 400  # in the pixels of an image
    flip(os.path.join(folder, "tiny.bin"), middle)
    assert main(["data", "check", "--verify", os.path.join(folder, "train.rec")]) == 0
    capsys.readouterr()
    for path in (folder, os.path.join(folder, "tiny.bin")):
        assert main(["data", "check", "--verify", path]) == 1
        assert "problem: tiny.bin differs from its checksum in SHA256SUMS" in capsys.readouterr().out
    os.unlink(os.path.join(folder, "property"))
    assert main(["data", "check", "--verify", folder]) == 1
    assert "problem: property is listed in SHA256SUMS, but does not exist" in capsys.readouterr().out
    os.unlink(os.path.join(folder, "SHA256SUMS"))
    assert main(["data", "check", "--verify", folder]) == 2
    assert "set: has no SHA256SUMS" in capsys.readouterr().err


def test_sha256sum_understands_the_file(folder):
    done = subprocess.run(["sha256sum", "--strict", "-c", "SHA256SUMS"], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.count("OK") == 4 and not done.stderr


def test_a_file_of_sha256sum_is_read(folder):
    text = subprocess.run(["sha256sum", *FILES], cwd=folder, capture_output=True, text=True, check=True).stdout
    with open(os.path.join(folder, "SHA256SUMS"), "w") as stream:
        stream.write(text)
    assert problems(folder) == []


def test_another_size_is_refused_at_the_start(folder):
    assert manifest.compare_sizes([os.path.join(folder, name) for name in FILES]) == []
    with open(os.path.join(folder, "train.rec"), "ab") as stream:
        stream.write(b"more")
    with pytest.raises(UserError, match="train.rec: has .* bytes, but SHA256SUMS beside it says .*; copy it again, or"):
        manifest.compare_sizes([os.path.join(folder, "train.rec")])
    assert manifest.compare_sizes([os.path.join(folder, "tiny.bin")]) == []


def test_newer_files_give_one_warning(folder):
    sums = os.stat(os.path.join(folder, "SHA256SUMS"))
    for name, later in (("train.rec", 60), ("property", 60), ("train.idx", -60)):
        os.utime(os.path.join(folder, name), (sums.st_atime, sums.st_mtime + later))
    (warning,) = manifest.compare_sizes([os.path.join(folder, name) for name in FILES])
    assert "train.rec, property is newer than SHA256SUMS" in warning and f"--verify {folder} compares" in warning


def test_files_without_a_manifest_are_accepted(folder, tmp_path):
    (tmp_path / "other.bin").write_bytes(b"x")
    assert manifest.compare_sizes([str(tmp_path / "other.bin"), os.path.join(folder, "not there")]) == []


def test_one_file_is_added_and_replaced(tmp_path):
    for content in (b"first", b"second"):
        (tmp_path / "a.bin").write_bytes(content)
        manifest.add_to_manifest(str(tmp_path / "a.bin"))
        (tmp_path / "b.bin").write_bytes(content)
        manifest.add_to_manifest(str(tmp_path / "b.bin"))
        assert manifest.compare_contents(str(tmp_path)) == {"a.bin": "", "b.bin": ""}
        assert manifest.compare_sizes([str(tmp_path / "a.bin")]) == []


@pytest.mark.parametrize(
    "content", [b"no checksum", b"\xff\xfe", b"a" * 64 + b"  ../../etc/passwd", b"a" * 63 + b"  x", b"\0" * 70]
)
def test_another_file_of_this_name_is_one_line(folder, content):
    with open(os.path.join(folder, "SHA256SUMS"), "wb") as stream:
        stream.write(content + b"\n")
    with pytest.raises(UserError, match="SHA256SUMS: ") as caught:
        manifest.compare_sizes([os.path.join(folder, "train.rec")])
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match="SHA256SUMS: "):
        check_path(folder, verify=True)
