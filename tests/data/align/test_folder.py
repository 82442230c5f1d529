"""Every image of a folder is aligned, or listed with the reason."""

from __future__ import annotations

import csv
import os
import signal

import cv2
import numpy as np
import pytest

from arcface_mx.cli import main
from arcface_mx.data.align import folder as folder_module
from arcface_mx.data.align import image as image_module
from arcface_mx.data.align.detector import Detector, Faces
from arcface_mx.data.align.folder import align_folder
from arcface_mx.data.align.image import AlignOptions, align_faces, align_image, choose_face
from arcface_mx.data.align.landmarks import read_landmarks
from arcface_mx.data.check.pictures import CAPTION
from arcface_mx.data.image_files import list_images
from arcface_mx.data.orl.orl import LANDMARKS
from arcface_mx.util.errors import UserError
from tests.support.face_sets import jpeg, read_bytes
from tests.support.strange_images import animated_png

align_batch = folder_module._align_batch


def test_lower_thresholds_find_a_face_that_the_defaults_miss(detector, portrait, tmp_path, monkeypatch):
    (tmp_path / "images").mkdir()
    cv2.imwrite(str(tmp_path / "images" / "a.png"), portrait)
    strict = Detector(thresholds=(0.6, 0.7, 1.0), lower=(0.6, 0.7, 0.7))
    monkeypatch.setattr(image_module, "open_detector", lambda *_: strict)
    alignment = align_image("a.png", None, AlignOptions(), str(tmp_path / "images"))
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


NUMBERS = "38 52 74 51 56 72 42 92 71 93"


def put(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def align_by_file(tmp_path, names, numbers=NUMBERS, **options):
    """Align tmp_path/images by a landmark file with the same numbers for all names."""
    points = tmp_path / "points.txt"
    points.write_text("".join(f"{name} {numbers}\n" for name in names))
    return align_folder(str(tmp_path / "images"), str(tmp_path / "out"), AlignOptions(landmarks=str(points), **options))


def test_no_bad_file_ends_the_work(tmp_path):
    images = tmp_path / "images"
    for name in ("a.png", "a.bmp", "a.png.png", "b/latin-\udce9.png"):
        put(images / name, jpeg(1))
    put(images / "b" / "IMG_1.HEIC", b"\0\0\0\x18ftypheic" + bytes(50))
    put(images / "b" / "killer.png", animated_png())
    (images / "b" / "dangling.jpg").symlink_to(images / "nowhere")
    os.mkfifo(images / "b" / "pipe.jpg")
    names = [name for name in list_images(str(images)) if name.isascii()]
    alignments = {result.path: result for result in align_by_file(tmp_path, names)}
    assert {path: result.note for path, result in alignments.items() if result.status == "unreadable"} == {
        "b/IMG_1.HEIC": "is HEIC, which is not read; convert it to JPEG or PNG",
        "b/killer.png": "is an animated PNG, which is not read; save one frame of it",
        "b/dangling.jpg": "cannot be read: No such file or directory",
        "b/pipe.jpg": "is no regular file",
    }
    assert {path: result.file for path, result in alignments.items() if result.is_aligned} == {
        "a.bmp": "a.jpg",
        "a.png": "a.png.jpg",
        "a.png.png": "a.png.png.jpg",
    }
    with open(tmp_path / "out" / "align.csv", encoding="utf-8", errors="surrogateescape") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["image"] for row in rows] == list_images(str(images))
    assert {row["image"]: (row["status"], row["crop"]) for row in rows}["b/latin-\udce9.png"] == ("no landmarks", "")
    assert {row["crop"] for row in rows if row["crop"]} == {"a.jpg", "a.png.jpg", "a.png.png.jpg"}


def test_names_with_commas_and_line_breaks_come_back_from_the_table(tmp_path):
    names = ["a, b.jpg", "line\nbreak.jpg", 'quo"te.jpg', "latin-\udce9.jpg"]
    for name in names:
        put(tmp_path / "images" / name, jpeg(1))
    lines = (b'"a, b.jpg"', b'"line\nbreak.jpg"', b'"quo""te.jpg"', b"latin-\xe9.jpg")
    put(tmp_path / "points.csv", b"".join(b"%s,%s\n" % (name, NUMBERS.replace(" ", ",").encode()) for name in lines))
    options = AlignOptions(landmarks=str(tmp_path / "points.csv"))
    assert all(result.is_aligned for result in align_folder(str(tmp_path / "images"), str(tmp_path / "out"), options))
    assert set(read_landmarks(str(tmp_path / "out" / "align.csv"))) == set(names)


def align_and_crash(options, source, batch):
    """What the child process does here: it dies of one image."""
    if "s2/1.pgm" in [path for path, _ in batch]:
        os.kill(os.getpid(), signal.SIGSEGV)
    return align_batch(options, source, batch)


@pytest.mark.slow
def test_an_image_that_kills_the_decoder_is_a_row(orl_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(folder_module, "_align_batch", align_and_crash)
    alignments = align_folder(str(orl_folder), str(tmp_path / "out"), AlignOptions(landmarks=LANDMARKS))
    assert [(result.path, result.note) for result in alignments if not result.is_aligned] == [
        ("s2/1.pgm", "the decoder crashed (SIGSEGV)")
    ]


def test_all_faces_of_an_image_are_cut_out(detector, portrait, tmp_path):
    small = cv2.resize(portrait, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(tmp_path / "two.png"), np.hstack([small, small[:, ::-1]]))
    faces = align_faces("two.png", AlignOptions(), str(tmp_path))
    assert [face.num_faces for face in faces] == [2, 2] and faces[0].crop != faces[1].crop
    assert faces[0].crop == align_image("two.png", None, AlignOptions(), str(tmp_path)).crop


@pytest.mark.parametrize(
    "numbers, message",
    [
        ("74 51 38 52 56 72 71 93 42 92", "looks like mirrored"),
        ("10 10 30 30 50 50 70 70 90 90", "do not fit faces: their residual is .* at most 8 are accepted"),
    ],
)
def test_landmarks_that_are_no_faces_are_refused(tmp_path, numbers, message):
    names = ["a.jpg", "b.jpg", "c.jpg"]
    for name in names:
        put(tmp_path / "images" / name, jpeg(1))
    with pytest.raises(UserError, match=message):
        align_by_file(tmp_path, names, numbers)
    assert not os.path.exists(tmp_path / "out")
    if "residual" in message:
        assert len(align_by_file(tmp_path, names, numbers, max_residual=60)) == 3


def test_landmarks_outside_of_the_image_are_named(tmp_path):
    put(tmp_path / "images" / "a.jpg", jpeg(1))
    put(tmp_path / "images" / "b.jpg", jpeg(1, 40))
    _, outside = align_by_file(tmp_path, ["a.jpg", "b.jpg"])
    assert outside.status == "no face found" and outside.note == "its landmarks lie outside of its 40×40 pixels"


def test_interrupted_run_leaves_nothing(orl_folder, tmp_path, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(folder_module, "_write_table", stop)
    with pytest.raises(KeyboardInterrupt):
        align_folder(str(orl_folder), str(tmp_path / "out"), AlignOptions(landmarks=LANDMARKS))
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize(
    "options",
    [
        AlignOptions(width=100),
        AlignOptions(landmarks="a", detector="b"),
        AlignOptions(border="pink"),
        AlignOptions(quality=101),
    ],
)
def test_impossible_options_are_refused(orl_folder, tmp_path, options):
    with pytest.raises(UserError):
        align_folder(str(orl_folder), str(tmp_path / "out"), options)


def test_align_command(orl_folder, tmp_path, capsys):
    out, sheet = str(tmp_path / "out"), str(tmp_path / "sheet.jpg")
    assert (
        main(["data", "align", str(orl_folder), out, "--landmarks", LANDMARKS, "--sheet", sheet, "--workers", "1"]) == 0
    )
    assert "6 of 6 images aligned" in capsys.readouterr().out
    assert cv2.imread(sheet).shape == (112 + CAPTION, 6 * 112, 3)
    captions = cv2.imread(sheet)[112:].reshape(CAPTION, 6, 112, 3)
    assert (captions > 200).any((0, 2, 3)).all()  # each crop has its name below it
    (orl_folder / "s2" / "x.png").write_bytes(b"not an image")
    (orl_folder / "s1" / "note.txt").write_bytes(b"not an image")
    try:
        assert main(["data", "align", str(orl_folder), out + "2", "--landmarks", LANDMARKS, "--workers", "1"]) == 1
    finally:
        (orl_folder / "s2" / "x.png").unlink()
        (orl_folder / "s1" / "note.txt").unlink()
    shown = capsys.readouterr().out
    assert "s2/x.png (no landmarks)" in shown and "1 other file passed over (.txt): s1/note.txt" in shown
    assert main(["data", "align", str(tmp_path / "nowhere"), out + "3"]) == 2
