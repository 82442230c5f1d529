"""Every image of a folder is aligned, or listed with the reason."""

from __future__ import annotations

import os

import cv2
import numpy as np
import pytest

from arcface_mx.cli import main
from arcface_mx.data.align import folder as folder_module
from arcface_mx.data.align import image as image_module
from arcface_mx.data.align.detector import Faces
from arcface_mx.data.align.folder import align_folder
from arcface_mx.data.align.image import AlignOptions, choose_face
from arcface_mx.data.align.landmarks import read_landmarks
from arcface_mx.data.orl.orl import LANDMARKS
from arcface_mx.util.errors import UserError
from tests.support.face_sets import read_bytes


def test_lower_thresholds_find_a_face_that_the_defaults_miss(detector, portrait, tmp_path, monkeypatch):
    (tmp_path / "images").mkdir()
    cv2.imwrite(str(tmp_path / "images" / "a.png"), portrait)
    monkeypatch.setattr(image_module, "THRESHOLDS", ((0.6, 0.7, 1.0), (0.6, 0.7, 0.7)))
    (alignment,) = align_folder(str(tmp_path / "images"), str(tmp_path / "out"), AlignOptions())
    assert (alignment.status, alignment.num_faces) == ("uncertain", 1) and alignment.is_aligned
    assert np.abs(alignment.landmarks - detector(portrait[:, :, ::-1]).landmarks[0]).max() < 0.01


def test_large_and_central_face_is_chosen():
    boxes = np.asarray([[0, 0, 60, 60], [80, 80, 130, 130], [0, 90, 40, 130]], float)
    faces = Faces(boxes, np.asarray([0.9, 0.8, 0.99]), np.zeros((3, 5, 2)))
    assert choose_face(faces, 200, 200) == 1
    assert choose_face(faces, 60, 60) == 0


def test_every_image_is_listed(detector, orl_folder, portrait, tmp_path):
    images = tmp_path / "images"
    (images / "a").mkdir(parents=True)
    (images / "a" / "one.pgm").write_bytes((orl_folder / "s1" / "1.pgm").read_bytes())
    small = cv2.resize(portrait, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(images / "a" / "two.png"), np.hstack([small, small]))
    cv2.imwrite(str(images / "tiny.png"), cv2.resize(portrait, None, fx=0.15, fy=0.15, interpolation=cv2.INTER_AREA))
    cv2.imwrite(str(images / "grey.png"), np.full((100, 100), 90, np.uint8))
    (images / "broken.jpg").write_bytes(b"not an image")
    alignments = align_folder(str(images), str(tmp_path / "out"), AlignOptions())
    assert {result.path: (result.status, result.num_faces) for result in alignments} == {
        "a/one.pgm": ("aligned", 1),
        "a/two.png": ("several faces", 2),
        "tiny.png": ("small", 1),
        "grey.png": ("no face found", 0),
        "broken.jpg": ("unreadable", 0),
    }
    written = [
        os.path.relpath(os.path.join(p, f), str(tmp_path / "out")) for p, _, fs in os.walk(tmp_path / "out") for f in fs
    ]
    assert sorted(written) == ["a/one.jpg", "a/two.jpg", "align.csv", "tiny.jpg"]
    assert set(read_landmarks(str(tmp_path / "out" / "align.csv"))) == {"a/one.pgm", "a/two.png", "tiny.png"}


def test_table_as_landmark_file_gives_the_same_crops(detector, orl_folder, tmp_path):
    align_folder(str(orl_folder), str(tmp_path / "first"), AlignOptions())
    align_folder(
        str(orl_folder), str(tmp_path / "second"), AlignOptions(landmarks=str(tmp_path / "first" / "align.csv"))
    )
    for name in ("s1/1.jpg", "s2/3.jpg", "align.csv"):
        assert read_bytes(str(tmp_path / "first" / name)) == read_bytes(str(tmp_path / "second" / name))


def test_number_of_workers_does_not_change_the_result(orl_folder, tmp_path):
    for workers in (1, 2):
        align_folder(str(orl_folder), str(tmp_path / str(workers)), AlignOptions(landmarks=LANDMARKS), workers)
    for name in ("s1/1.jpg", "s2/3.jpg", "align.csv"):
        assert read_bytes(str(tmp_path / "1" / name)) == read_bytes(str(tmp_path / "2" / name))


def test_landmarks_are_found_by_file_name(orl_folder, tmp_path):
    (tmp_path / "images" / "deep").mkdir(parents=True)
    (tmp_path / "images" / "deep" / "000001.pgm").write_bytes((orl_folder / "s1" / "1.pgm").read_bytes())
    (tmp_path / "images" / "other.pgm").write_bytes((orl_folder / "s1" / "2.pgm").read_bytes())
    (tmp_path / "points.txt").write_text("000001.pgm 38 52 74 51 56 72 42 92 71 93\n")
    alignments = align_folder(
        str(tmp_path / "images"), str(tmp_path / "out"), AlignOptions(landmarks=str(tmp_path / "points.txt"))
    )
    assert [(result.path, result.status) for result in alignments] == [
        ("deep/000001.pgm", "aligned"),
        ("other.pgm", "no landmarks"),
    ]
    with pytest.raises(UserError, match="names none of the 6 images"):
        align_folder(str(orl_folder), str(tmp_path / "none"), AlignOptions(landmarks=str(tmp_path / "points.txt")))


def test_interrupted_run_leaves_nothing(orl_folder, tmp_path, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(folder_module, "_write_table", stop)
    with pytest.raises(KeyboardInterrupt):
        align_folder(str(orl_folder), str(tmp_path / "out"), AlignOptions(landmarks=LANDMARKS))
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("options", [AlignOptions(width=100), AlignOptions(border="pink"), AlignOptions(quality=101)])
def test_impossible_options_are_refused(orl_folder, tmp_path, options):
    with pytest.raises(UserError):
        align_folder(str(orl_folder), str(tmp_path / "out"), options)


def test_align_command(orl_folder, tmp_path, capsys):
    out, sheet = str(tmp_path / "out"), str(tmp_path / "sheet.jpg")
    assert (
        main(["data", "align", str(orl_folder), out, "--landmarks", LANDMARKS, "--sheet", sheet, "--workers", "1"]) == 0
    )
    assert "6 of 6 images aligned" in capsys.readouterr().out
    assert cv2.imread(sheet).shape == (112, 6 * 112, 3)
    (orl_folder / "s2" / "x.png").write_bytes(b"not an image")
    try:
        assert main(["data", "align", str(orl_folder), out + "2", "--landmarks", LANDMARKS, "--workers", "1"]) == 1
    finally:
        (orl_folder / "s2" / "x.png").unlink()
    assert "s2/x.png (no landmarks)" in capsys.readouterr().out
    assert main(["data", "align", str(tmp_path / "nowhere"), out + "3"]) == 2
