"""`data check` finds each kind of fault and names all its records. --fix writes a set without them."""

from __future__ import annotations

import json
import os
import signal

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arcface_mx.cli import main
from arcface_mx.data.bins.write import write_pairs
from arcface_mx.data.check import images as check_images
from arcface_mx.data.check.check import check_path
from arcface_mx.data.check.fix import write_cleaned
from arcface_mx.data.check.records import check_records
from arcface_mx.data.recordio.index import RecordIndex
from arcface_mx.data.recordio.writer import RecordWriter
from arcface_mx.util.errors import UserError
from tests.conftest import shared_path
from tests.support.face_sets import copy_set, float_bytes, jpeg, patch, read_bytes, write_bytes, write_plain, write_set
from tests.support.strange_images import animated_png

scan_places = check_images._scan_places


def one_problem(path):
    report = check_path(str(path))[0]
    assert len(report.problems) == 1, [str(problem) for problem in report.problems]
    return report.problems[0]


def write(folder, images_of):
    with RecordWriter(str(folder)) as writer:
        for label, images in enumerate(images_of):
            for image in images:
                writer.add(label, image)
    return str(folder)


def test_valid_set_has_no_problem(tmp_path):
    write_set(str(tmp_path / "faces"))
    (report,) = check_path(str(tmp_path / "faces"))
    assert not report.problems and not report.remarks
    table = dict(report.table)
    assert table["images"] == "9 in records 1…9" and table["identities"] == "3"
    assert table["images of an identity"] == "2 to 4, median 3" and table["decoded"].startswith("9 of 9, ")


def test_mean_face_is_the_mean(tmp_path):
    written = write_set(str(tmp_path / "faces"))
    report = check_records(str(tmp_path / "faces"), workers=3)
    pixels = [cv2.imdecode(np.frombuffer(image, np.uint8), 1)[:, :, ::-1] for _, image in written]
    np.testing.assert_allclose(report.mean, np.mean(pixels, axis=0))


@pytest.mark.parametrize(
    "bad, message",
    [
        (b"this is no image", "cannot be decoded as an image"),
        (jpeg(77)[:-300], "cannot be decoded as an image"),
        (jpeg(77)[:-2], "cannot be decoded as an image"),
        (jpeg(77, 96), "is 96×96 (height×width), but the set's size is 112×112"),
    ],
)
@pytest.mark.parametrize("place", [0, 1])
def test_bad_image_is_found_and_left_out(tmp_path, bad, message, place):
    images = [[jpeg(0), jpeg(1)], [jpeg(2), jpeg(3)]]
    images[1][place] = bad
    folder = write(tmp_path / "faces", images)
    problem = one_problem(folder)
    assert message in problem.message and problem.records == (3 + place,)
    report = check_records(folder)
    summary = write_cleaned(report, str(tmp_path / "clean"))
    assert [entry["record"] for entry in summary["left_out"]] == [3 + place]
    assert not check_path(str(tmp_path / "clean"))[0].problems


def test_an_animated_png_is_a_problem_and_no_crash(tmp_path):
    folder = write(tmp_path / "faces", [[animated_png(), jpeg(1)], [jpeg(2)]])
    assert one_problem(folder).records == (1,)


def scan_that_crashes(path, size, places):
    """What the child process does here: it dies of the third image."""
    if 2 in [position for position, _ in places]:
        os.kill(os.getpid(), signal.SIGSEGV)
    return scan_places(path, size, places)


@pytest.mark.slow
def test_an_image_that_kills_the_decoder_is_named(tmp_path, monkeypatch):
    folder = write(tmp_path / "faces", [[jpeg(0), jpeg(1)], [jpeg(2), jpeg(3)]])
    monkeypatch.setattr(check_images, "_scan_places", scan_that_crashes)
    problem = one_problem(folder)
    assert problem.records == (3,) and problem.message == "cannot be decoded as an image"


def test_a_stated_size_that_no_memory_holds_is_a_problem(tmp_path):
    folder = write(tmp_path / "faces", [[jpeg(0)], [jpeg(1)]])
    write_bytes(os.path.join(folder, "property"), b"2,99999999,99999999")
    assert one_problem(folder).records == (1, 2)


def test_bad_first_image_is_listed_once(tmp_path):
    folder = write(tmp_path / "faces", [[b"no image", jpeg(1)], [jpeg(2)]])
    assert one_problem(folder).records == (1,)


def test_equal_images_are_found(tmp_path):
    folder = write(tmp_path / "faces", [[jpeg(0), jpeg(1), jpeg(1)], [jpeg(2), jpeg(3)], [jpeg(4), jpeg(2)]])
    (report,) = check_path(folder)
    (problem,) = report.problems
    assert problem.message == "is byte for byte record 7, but has another label" and problem.records == (4, 7)
    assert [(r.message, r.records) for r in report.remarks] == [("is a copy of another record of its identity", (3,))]
    write_cleaned(report, str(tmp_path / "clean"))
    (clean,) = check_path(str(tmp_path / "clean"))
    assert not clean.problems and [str(r) for r in clean.remarks][0].startswith("2 identities have one image")
    assert RecordIndex.open(str(tmp_path / "clean")).labels.tolist() == [0, 0, 1, 2]


def test_fix_repairs_labels_and_property(tmp_path):
    folder = str(tmp_path / "faces")
    written = write_set(folder, (3, 2, 4))
    index = RecordIndex.open(folder)
    for offset in index.offsets[3:5]:
        patch(index.path, offset + 12, float_bytes(70))  # identity 1 becomes 70
    report = check_records(folder)
    assert len(report.problems) == 2  # past property; label 1 has no image
    write_cleaned(report, str(tmp_path / "clean"))
    clean = RecordIndex.open(str(tmp_path / "clean"))
    assert clean.num_classes == 3 and sorted(clean.labels.tolist()) == [0] * 3 + [1] * 4 + [2] * 2
    assert [image for _, _, image in clean.images()] == [written[k][1] for k in (0, 1, 2, 5, 6, 7, 8, 3, 4)]
    summary = json.loads(read_bytes(str(tmp_path / "clean" / "cleaned.json")))
    assert summary["old_labels"] == [0, 2, 70] and summary["left_out"] == []


def test_fix_makes_a_plain_file_a_full_set(tmp_path):
    path = str(tmp_path / "some.rec")
    write_plain(path, [(1, 5), (0, 5), (1, 5)], [jpeg(0), jpeg(1), jpeg(2)], first=1)
    write_cleaned(check_records(path), str(tmp_path / "clean"))
    clean = RecordIndex.open(str(tmp_path / "clean"))
    assert clean.identity_ranges.tolist() == [[1, 2], [2, 4]]
    assert [image for _, _, image in clean.images()] == [jpeg(1), jpeg(0), jpeg(2)]


def test_fix_refuses_an_existing_folder_and_an_empty_result(tmp_path):
    folder = write(tmp_path / "faces", [[b"no image"], [b"none either"]])
    with pytest.raises(UserError, match="already there"):
        write_cleaned(check_records(folder), folder)
    with pytest.raises(UserError, match="no usable image"):
        write_cleaned(check_records(folder), str(tmp_path / "clean"))
    assert os.listdir(tmp_path) == ["faces"]


# Verification sets


def bin_of(tmp_path, images, same):
    path = str(tmp_path / "set.bin")
    write_pairs(path, images, same)
    return path


def good_pairs(count=20):
    return [jpeg(i) for i in range(2 * count)], [k % 2 == 0 for k in range(count)]


def test_valid_pairs_have_no_problem(tmp_path):
    (report,) = check_path(bin_of(tmp_path, *good_pairs()))
    assert not report.problems and not report.remarks
    assert dict(report.table)["pairs"] == "20: 10 same, 10 different"


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda images, same: (images[:-2], same[:-1]), "19 pairs do not make 10 folds"),
        (lambda images, same: (images, [True] * 2 + same[2:]), "fold 1 holds pairs of one kind only"),
        (
            lambda images, same: ([images[1]] + images[1:], [False, True] + same[2:]),
            "pair 0 compares an image with itself",
        ),
        (lambda images, same: (images[2:4] + images[2:], same), "pair 0 is called same in one place and different"),
        (lambda images, same: (images[:5] + [b"no image"] + images[6:], same), "image 5 (pair 2) cannot be decoded"),
        (lambda images, same: (images[:5] + [jpeg(5)[:-2]] + images[6:], same), "image 5 (pair 2) cannot be decoded"),
        (lambda images, same: (images[:5] + [jpeg(5, 96)] + images[6:], same), "image 5 (pair 2) is 96×96"),
    ],
)
def test_faults_of_pairs_are_found(tmp_path, change, message):
    assert message in one_problem(bin_of(tmp_path, *change(*good_pairs()))).message


def test_harmless_oddities_of_pairs_are_remarks(tmp_path):
    images, same = good_pairs(20)
    images[1] = images[0]
    images[8:10] = images[4:6]
    (report,) = check_path(bin_of(tmp_path, images, same))
    assert not report.problems
    assert [r.message for r in report.remarks] == [
        "pair 0 compares an image with itself (1 such pairs)",
        "1 pairs stand there more than once",
    ]
    (report,) = check_path(bin_of(tmp_path, good_pairs(40)[0], ([True] * 3 + [False]) * 10))
    assert "75.0 % of the pairs are same pairs" in report.remarks[0].message


def test_images_that_were_trained_on_are_a_problem_of_the_pairs(tmp_path, capsys):
    folder = write(tmp_path / "faces", [[jpeg(100), jpeg(101)], [jpeg(102), jpeg(103)]])
    images, same = good_pairs()
    images[5] = jpeg(102)
    write_pairs(str(tmp_path / "faces" / "held_out.bin"), images, same)
    report, pairs = check_path(folder)
    (problem,) = pairs.problems
    assert not report.problems
    assert problem.message == f"image 5 (pair 2) is byte for byte record 3 of {folder}/train.rec (1 such images)"
    os.rename(tmp_path / "faces" / "held_out.bin", tmp_path / "elsewhere.bin")
    assert main(["data", "check", folder]) == main(["data", "check", str(tmp_path / "elsewhere.bin")]) == 0
    assert main(["data", "check", folder, str(tmp_path / "elsewhere.bin")]) == 1
    assert "byte for byte record 3" in capsys.readouterr().out


def test_folder_reports_on_its_pairs_too(tmp_path):
    write_set(str(tmp_path / "faces"))
    write_bytes(str(tmp_path / "faces" / "a.bin"), b"no pickle")
    reports = check_path(str(tmp_path / "faces"))
    assert [os.path.basename(report.path) for report in reports] == ["train.rec", "a.bin"]
    assert reports[1].problems and "\n" not in str(reports[1].problems[0])


# The command


def test_command_reports_and_sets_the_exit_code(tmp_path, capsys):
    folder = str(tmp_path / "faces")
    write_set(folder)
    mean, out = str(tmp_path / "mean.png"), str(tmp_path / "out.json")
    assert main(["data", "check", folder, "--mean-face", mean, "--json", out, "--workers", "1"]) == 0
    assert "no problem found" in capsys.readouterr().out
    assert cv2.imread(mean).shape == (448, 448, 3)
    index = RecordIndex.open(folder)
    patch(index.path, index.offsets[4] + 12, float_bytes(9))
    assert main(["data", "check", folder, "--json", out]) == 1
    assert "record 5 has label 9" in capsys.readouterr().out
    assert json.loads(read_bytes(out))[0]["problems"][0]["records"] == [5]
    assert main(["data", "check", folder, "--fix", str(tmp_path / "clean")]) == 1
    assert main(["data", "check", str(tmp_path / "clean")]) == 0
    assert main(["data", "check", str(tmp_path / "nowhere")]) == 2
    assert main(["data", "check", folder, "--fix", "x", "--quick"]) == 2


@settings(derandomize=True, deadline=None, max_examples=40)
@given(seed=st.integers(0, 10**6), flips=st.integers(1, 30), cut=st.booleans())
def test_check_survives_any_bytes(tmp_path_factory, seed, flips, cut):
    """Any damage gives a report or one line of error. The set that --fix writes has no problem."""
    base = tmp_path_factory.mktemp("any")
    write_set(str(base / "valid"), side=24)
    folder = copy_set(str(base / "valid"), str(base / "faces"))
    random = np.random.RandomState(seed)
    path = os.path.join(folder, random.choice(["train.rec", "train.rec", "train.idx", "property"]))
    data = bytearray(read_bytes(path))
    for at in random.randint(0, len(data), flips):
        data[at] = random.randint(256)
    write_bytes(path, bytes(data[: random.randint(len(data))] if cut else data))
    if random.rand() < 0.5:
        os.unlink(os.path.join(folder, "train.idx"))
    try:
        report = check_records(folder)
        write_cleaned(report, str(base / "clean"))
    except UserError as error:
        assert "\n" not in str(error)
        return
    # Changed bytes inside a JPEG may decode to other pixels. All other damage is detected.
    assert not check_path(str(base / "clean"))[0].problems


def test_shared_celebrities_pass():
    (report,) = check_path(shared_path("faces/celeb"), quick=True, workers=2)
    assert not report.problems and len(report.index) == 16900


def test_shared_lfw_passes():
    (report,) = check_path(shared_path("faces/lfw/lfw.bin"), quick=True)
    assert not report.problems and not report.remarks
