"""Label errors planted in synthetic embeddings are found."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arcface_mx.metrics.angles import identity_centres
from arcface_mx.metrics.label_errors import far_images, near_centres, overlap
from tests.support.embeddings import clusters, units


@settings(derandomize=True, deadline=None, max_examples=10)
@given(seed=st.integers(0, 1000), wrong=st.integers(0, 3))
def test_exactly_the_strangers_are_far(seed, wrong):
    vectors, labels = clusters(20, 10, 40, seed)
    strangers = np.arange(wrong) + 50  # images of identity 5…
    truth = labels.copy()
    labels[strangers] = 11
    far, angles, centres = far_images(vectors, labels, 20, 60)
    assert np.flatnonzero(far).tolist() == strangers.tolist()
    np.testing.assert_allclose(
        centres.vectors, identity_centres(vectors, labels, 20, labels == truth).vectors, atol=1e-5
    )
    assert centres.images.tolist() == np.bincount(labels[labels == truth], minlength=20).tolist()


def test_angles_are_those_of_a_plain_loop():
    vectors, labels = clusters(7, 5, 50)
    _, angles, centres = far_images(vectors, labels, 7, 180)
    for k, label in enumerate(labels):
        others = (labels == label) & (np.arange(len(labels)) != k)
        mean = vectors[others].astype(np.float64).mean(0)
        cosine = vectors[k] @ mean / np.linalg.norm(mean)
        np.testing.assert_allclose(angles[k], np.degrees(np.arccos(cosine)), atol=1e-3)


def test_strangers_do_not_pull_the_centre():
    vectors, labels = clusters(2, 10, 30)
    labels[10:14] = 0  # four images of identity 1
    far, angles, _ = far_images(vectors, labels, 2, 55)
    assert np.flatnonzero(far).tolist() == [10, 11, 12, 13]
    for k in range(14):  # an image does not pull the centre either that it is compared with
        others = [other for other in range(10) if other != k]
        centre = units(vectors[others].sum(0, keepdims=True))[0]
        np.testing.assert_allclose(angles[k], np.degrees(np.arccos(vectors[k] @ centre)), atol=1e-3)


def test_a_stranger_among_five_images_is_far():
    """From a centre that includes him he is 64 degrees away, and the limit is 75."""
    angles = np.radians([50, 50, 50, 50, 80])  # to a common axis; beside it the images have nothing in common
    vectors = np.hstack([np.cos(angles)[:, None], np.diag(np.sin(angles))]).astype(np.float32)
    centre = units(vectors.sum(0, keepdims=True))[0]
    assert np.degrees(np.arccos(vectors[4] @ centre)) == pytest.approx(64, abs=1)
    far, angles, _ = far_images(vectors, np.zeros(5, int), 1, 75)
    assert far.tolist() == [False] * 4 + [True] and angles[4] == pytest.approx(81, abs=1)


def test_two_strangers_under_one_name_are_both_far_and_a_single_image_is_not():
    vectors, labels = clusters(3, 1, 0, seed=1)
    labels[:] = [0, 0, 1]
    far, angles, _ = far_images(vectors, labels, 2, 60)
    assert far.tolist() == [True, True, False] and angles[2] == 0


def test_an_identity_without_a_centre_is_far_as_a_whole():
    vectors, labels = clusters(10, 1, 0)
    labels[:] = 0  # ten strangers under one name
    far, _, _ = far_images(vectors, labels, 1, 45)
    assert far.all()


@pytest.mark.parametrize("block", [1, 3, 2048])
def test_near_centres_and_overlap_equal_plain_loops(block):
    vectors, labels = clusters(12, 4, 30)
    vectors[8:12] = vectors[40:44]  # identities 2 and 10 are the same
    centres = identity_centres(vectors, labels, 12)
    matches = near_centres(centres, 80, (block, block))
    angle = np.degrees(np.arccos(np.clip(centres.vectors.astype(float) @ centres.vectors.T, -1, 1)))
    expected = {(i, j) for i in range(12) for j in range(i + 1, 12) if angle[i, j] < 80}
    assert {(m.first, m.second) for m in matches} == expected and (matches[0].first, matches[0].second) == (2, 10)
    others = vectors[[5, 22, 23]]
    matches = overlap(centres, others, 50, (block, block))
    angle = np.degrees(np.arccos(np.clip(centres.vectors.astype(float) @ others.T, -1, 1)))
    assert {(m.first, m.second) for m in matches} == {
        (i, int(angle[i].argmin())) for i in range(12) if angle[i].min() < 50
    }
    assert {m.first for m in matches} == {1, 5}
