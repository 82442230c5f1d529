"""`data check` says how far the eyes of a set lie off the reference."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from arcface_mx.data.align.transform import align
from arcface_mx.data.bins.write import write_pairs
from arcface_mx.data.check import eyes
from arcface_mx.data.check.check import check_path
from arcface_mx.data.recordio.writer import RecordWriter
from arcface_mx.util.errors import UserError
from tests.support.face_sets import write_set


@pytest.fixture(scope="module")
def crops(detector, portrait):
    """Aligned crops of one face, turned a little and of other brightness: function of a shift in pixels."""
    landmarks = detector(portrait[:, :, ::-1]).landmarks[0]

    def shifted(right, down, width=112):
        images = []
        for k in range(20):
            turned = landmarks + np.random.RandomState(k).normal(0, 1, landmarks.shape)
            crop, _ = align(portrait, turned - np.asarray([right, down]) * 2.2, width)
            images.append(cv2.imencode(".jpg", cv2.convertScaleAbs(crop, alpha=0.7 + 0.02 * k))[1].tobytes())
        return images

    return shifted


def write(folder, images, width=112):
    with RecordWriter(str(folder), 112, width) as writer:
        for k, image in enumerate(images):
            writer.add(k // 4, image)
    return str(folder)


def eye_row(report):
    return dict(report.table)["eyes"]


@pytest.mark.slow
@pytest.mark.parametrize("width", [112, 96])
def test_a_shift_is_named_and_an_aligned_set_is_not(crops, tmp_path, width):
    (aligned,) = check_path(write(tmp_path / "aligned", crops(0, 0, width), width))
    assert not aligned.remarks and eye_row(aligned).endswith("the reference (median of 20 faces)")
    (shifted,) = check_path(write(tmp_path / "shifted", crops(0, 6, width), width))
    (remark,) = shifted.remarks
    assert remark.message.startswith("the eyes lie") and "aligned in another way" in remark.message
    down = float(eye_row(shifted).split(" and ")[1].split()[0])
    assert "below" in eye_row(shifted) and 4 < down < 8


def test_eyes_of_a_verification_set_are_measured(crops, tmp_path):
    write_pairs(str(tmp_path / "set.bin"), crops(-7, 0), [True, False] * 5)
    (report,) = check_path(str(tmp_path / "set.bin"))
    assert " left and " in eye_row(report) and report.remarks


def test_a_set_without_faces_or_detector_is_not_judged(tmp_path, monkeypatch, detector):
    write_set(str(tmp_path / "faces"))
    (report,) = check_path(str(tmp_path / "faces"))
    assert eye_row(report) == "not measured: 0 faces found in 9 images" and not report.remarks

    def missing(*_):
        raise UserError("not installed")

    monkeypatch.setattr(eyes, "open_detector", missing)
    (report,) = check_path(str(tmp_path / "faces"))
    assert eye_row(report).startswith("not measured: the face detector is not installed") and not report.remarks
