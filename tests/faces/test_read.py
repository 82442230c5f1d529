"""Images with several faces, and images that are no aligned crops, are named."""

from __future__ import annotations

import os

import cv2
import numpy as np
import pytest

from arcface_mx.cli import main
from arcface_mx.data.align.detector import Detector
from arcface_mx.data.align.transform import align
from arcface_mx.faces import read as read_module
from arcface_mx.faces.embed import read_embeddings
from arcface_mx.faces.read import read_faces
from arcface_mx.util.errors import UserError
from tests.support import nets
from tests.support.strange_images import animated_png

SIZE = (112, 112)


@pytest.fixture(scope="module")
def portrait():
    """A photograph of one face, and its aligned crop."""
    cbook = pytest.importorskip("matplotlib.cbook")
    try:
        detector = Detector()
    except UserError as error:
        pytest.skip(str(error))
    photograph = cv2.imread(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False))
    return photograph, align(photograph, detector(photograph[:, :, ::-1]).landmarks[0])[0]


@pytest.fixture
def two_faces(portrait, tmp_path):
    """A folder with an image of two faces, one of them mirrored and smaller, and an image of one."""
    small = cv2.resize(portrait[0], None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    smaller = np.zeros_like(small)
    smaller[:250, :200] = cv2.resize(small[:, ::-1], (200, 250), interpolation=cv2.INTER_AREA)
    folder = tmp_path / "photos"
    folder.mkdir()
    cv2.imwrite(str(folder / "one.png"), small)
    cv2.imwrite(str(folder / "two.png"), np.hstack([small, smaller]))
    return folder


def notes(paths, **options):
    return [face.note for face in read_faces([str(path) for path in paths], SIZE, **options)]


def test_a_crop_has_no_note_and_a_photograph_has_one(portrait, tmp_path):
    photograph, crop = portrait
    for name, image in (("crop", crop), ("large crop", cv2.resize(crop, (250, 250))), ("photo", photograph[:512])):
        cv2.imwrite(str(tmp_path / f"{name}.png"), image)
    cv2.imwrite(str(tmp_path / "same size.png"), cv2.resize(photograph[:512], SIZE, interpolation=cv2.INTER_AREA))
    names = ("crop", "large crop", "photo", "same size")
    crop, large, photo, same_size = notes([tmp_path / f"{name}.png" for name in names], align=False)
    assert crop == large == ""
    assert photo.startswith("no aligned crop? its face lies 2") and same_size.startswith("no aligned crop? its face")


def test_without_a_detector_the_size_decides(tmp_path, monkeypatch):
    def missing(*_):
        raise UserError("not installed")

    monkeypatch.setattr(read_module, "landmark_offsets", missing)
    for side in (112, 32, 150):
        cv2.imwrite(str(tmp_path / f"{side}.png"), np.zeros((side, side, 3), np.uint8))
    faces = list(read_faces([str(tmp_path / f"{side}.png") for side in (112, 32, 150)], (32, 32), False))
    assert [face.note[:33] for face in faces] == ["", "", "no aligned crop? it has 150×150 p"]


@pytest.mark.slow
def test_several_faces_are_named_or_all_used(two_faces):
    paths = [two_faces / "one.png", two_faces / "two.png"]
    assert notes(paths, align=True) == ["", "several faces: the large and central one of 2 is used"]
    faces = list(read_faces([str(path) for path in paths], SIZE, True, 2, True))
    assert [(os.path.basename(face.path), face.number, face.note) for face in faces] == [
        ("one.png", 1, ""),
        ("two.png", 1, "face 1 of 2"),
        ("two.png", 2, "face 2 of 2"),
    ]
    assert not (faces[1].pixels == faces[2].pixels).all()
    with pytest.raises(UserError, match="`all_faces` needs faces to be detected"):
        read_faces(["x"], SIZE, False, 1, True)


@pytest.mark.slow
def test_commands_name_several_faces_and_take_all_of_them(two_faces, tmp_path, capsys):
    symbol = nets.embedding(SIZE, d=16)
    model = nets.save(tmp_path, symbol, *nets.parameters(symbol, SIZE)) + ",0"
    (two_faces / "killer.png").write_bytes(animated_png())
    (two_faces / "gone.png").symlink_to(tmp_path / "nowhere")
    one, both = str(tmp_path / "one.npz"), str(tmp_path / "both.npz")
    assert main(["embed", model, str(two_faces), one, "--align", "--workers", "1"]) == 1
    shown = capsys.readouterr().out
    assert f"note: {two_faces}/two.png: several faces: the large and central one of 2 is used" in shown
    assert "gone.png: cannot be read: No such file" in shown and "killer.png: is an animated PNG" in shown
    assert main(["embed", model, str(two_faces), both, "--align", "--all-faces", "--workers", "1"]) == 1
    assert read_embeddings(one).faces.tolist() == [1, 1] and read_embeddings(both).faces.tolist() == [1, 1, 2]
    (tmp_path / "known" / "grace").mkdir(parents=True)
    os.rename(two_faces / "one.png", tmp_path / "known" / "grace" / "one.png")
    gallery = str(tmp_path / "gallery.npz")
    assert main(["gallery", "build", model, str(tmp_path / "known"), gallery, "--align"]) == 0
    search = ["gallery", "search", model, gallery, str(two_faces / "two.png"), "--fpir", "1"]
    capsys.readouterr()
    assert main(search) == 0
    assert "of 2 is used]\n--all-faces searches for each face" in capsys.readouterr().out
    assert main([*search, "--all-faces"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.rpartition("[")[2] for line in lines] == ["face 1 of 2]", "face 2 of 2]"]
