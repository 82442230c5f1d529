"""The similarity transform and the aligned crop, on synthetic landmarks."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arcface_mx.data.align.transform import REFERENCE, align, reference_landmarks, similarity_transform


def moved(points, scale, angle, shift):
    turn = np.asarray([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return scale * points @ turn.T + shift


SHIFTS = st.tuples(st.floats(-500, 500), st.floats(-500, 500))


@given(scale=st.floats(0.1, 20), angle=st.floats(-3.1, 3.1), shift=SHIFTS)
def test_similarity_transform_undoes_any_move(scale, angle, shift):
    matrix, residual = similarity_transform(moved(REFERENCE, scale, angle, shift), REFERENCE)
    assert residual < 1e-6
    np.testing.assert_allclose(np.hypot(*matrix[:, 0]) * scale, 1)
    np.testing.assert_allclose(np.linalg.det(matrix[:, :2]) * scale**2, 1)  # no reflection


@given(seed=st.integers(0, 10**6))
def test_similarity_transform_is_the_least_squares_solution(seed):
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
def test_points_without_a_transform_are_refused(points):
    with pytest.raises(ValueError):
        align(np.zeros((112, 112, 3), np.uint8), points)


@pytest.mark.parametrize("scale", [0.5, 1.0, 2.3, 4.0, 9.0])
@pytest.mark.parametrize("width", [112, 96])
def test_landmarks_land_on_the_reference(scale, width):
    """A blurred dot at a landmark of a rotated and scaled image moves to the reference landmark."""
    points = moved(REFERENCE, scale, 0.3, (60 * scale, 10 * scale))
    side = int(200 * scale)
    y, x = np.mgrid[:side, :side]
    for k, (px, py) in enumerate(points):
        image = 255 * np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * (4 * scale) ** 2))
        crop, residual = align(image.astype(np.uint8), points, width)
        assert crop.shape == (112, width) and residual < 1e-6
        weight = crop.astype(float)
        rows, columns = np.mgrid[:112, :width]
        centre = np.asarray([(weight * columns).sum(), (weight * rows).sum()]) / weight.sum()
        np.testing.assert_allclose(centre, reference_landmarks(width)[k], atol=0.3)


def test_crop_of_96_is_the_middle_of_the_crop_of_112():
    image = cv2.resize(np.random.RandomState(0).randint(0, 256, (30, 30, 3)).astype(np.uint8), (300, 300))
    points = moved(REFERENCE, 1.5, 0.1, (40, 40))
    wide, narrow = align(image, points)[0], align(image, points, 96)[0]
    np.testing.assert_allclose(wide[:, 8:-8].astype(int), narrow, atol=2)


def test_outside_of_the_image_is_black_or_repeats_its_border():
    image = np.full((112, 112, 3), 200, np.uint8)
    crop = align(image, REFERENCE + 50)[0]
    assert (crop[:60, :60] == 200).all() and (crop[64:] == 0).all()
    assert (align(image, REFERENCE + 50, border=cv2.BORDER_REPLICATE)[0] == 200).all()


def test_reference_points_are_those_of_published_crops():
    """x and y of left eye, right eye, nose, left and right mouth corner, from InsightFace and MTCNN."""
    wide = [38.2946, 51.6963, 73.5318, 51.5014, 56.0252, 71.7366, 41.5493, 92.3655, 70.7299, 92.2041]
    narrow = [30.2946, 51.6963, 65.5318, 51.5014, 48.0252, 71.7366, 33.5493, 92.3655, 62.7299, 92.2041]
    np.testing.assert_allclose(reference_landmarks(112).ravel(), wide, atol=1e-9)
    np.testing.assert_allclose(reference_landmarks(96).ravel(), narrow, atol=1e-9)
