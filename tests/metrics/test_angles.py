"""Angle statistics against plain loops over every pair, and their corners."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arcface_mx.metrics.angles import centre_angles, embedding_centres, linked_identities, nearest_angle, spread
from arcface_mx.util.errors import UserError


def angle(a: np.ndarray, b: np.ndarray) -> float:
    """Degrees, by atan2 of the rejection: right at 0° and 180° too."""
    a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
    return math.degrees(math.atan2(np.linalg.norm(a - np.dot(a, b) * b), np.dot(a, b)))


def slow_nearest(rows: np.ndarray) -> float:
    return float(np.mean([min(angle(a, b) for j, b in enumerate(rows) if j != i) for i, a in enumerate(rows)]))


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.integers(0, 10**6), st.integers(2, 12), st.integers(2, 6), st.integers(1, 7))
def test_statistics_equal_loops_over_all_pairs(seed, identities, d, block):
    random = np.random.RandomState(seed)
    labels = np.sort(random.randint(0, identities, 40))
    embeddings = random.randn(40, d) + 3 * random.randn(identities, d)[labels]
    weight = random.randn(identities, d)
    centre_of = {k: np.mean([e / np.linalg.norm(e) for e in embeddings[labels == k]], axis=0) for k in set(labels)}
    result = spread(embeddings, labels)
    assert result.intra == pytest.approx(
        np.mean([angle(e, centre_of[k]) for e, k in zip(embeddings, labels)]), abs=1e-6
    )
    assert result.inter == pytest.approx(slow_nearest(np.stack(list(centre_of.values()))), abs=1e-4)
    centres = centre_angles(weight, embeddings, labels)
    assert centres.to_embeddings == pytest.approx(
        np.mean([angle(weight[k], centre_of[k]) for k in centre_of]), abs=1e-6
    )
    assert centres.inter == pytest.approx(slow_nearest(weight), abs=1e-4)
    assert nearest_angle(embedding_centres(embeddings, labels)[1], (block, block + 1)) == pytest.approx(
        result.inter, abs=1e-4
    )


def test_known_angles():
    """Four directions 90° apart, each identity 10° to both sides of its direction."""
    labels = np.repeat(np.arange(4), 2)
    degrees = np.radians(90.0 * labels + np.tile([10.0, -10.0], 4))
    directions = np.stack([np.cos(degrees), np.sin(degrees)], axis=1)
    embeddings = directions * np.arange(1, 9)[:, None]  # the length does not matter
    result = spread(embeddings, labels)
    assert (result.intra, result.inter, result.images, result.identities) == (
        pytest.approx(10.0),
        pytest.approx(90.0),
        8,
        4,
    )


def test_small_angles_keep_their_digits():
    """A cosine of float32 cannot tell 0.001° from 0."""
    a = np.radians(1e-3)
    assert nearest_angle(np.asarray([[1.0, 0.0], [np.cos(a), np.sin(a)]])) == pytest.approx(1e-3, rel=1e-6)


def test_one_identity_has_no_inter():
    assert spread(np.ones((3, 4)), np.zeros(3, int)).inter is None


def test_centres_of_another_data_set_are_refused():
    with pytest.raises(UserError, match="another data set or network"):
        centre_angles(np.ones((2, 3)), np.ones((4, 3)), np.asarray([0, 1, 2, 2]))


def test_identities_of_pairs_are_chains_of_same_pairs():
    left, right = np.asarray([0, 1, 3, 5]), np.asarray([1, 2, 4, 6])
    same = np.asarray([True, True, True, False])
    images, labels = linked_identities(left, right, same, 7)
    assert images.tolist() == [0, 1, 2, 3, 4]  # 5 and 6 are in no same pair
    assert len(set(labels[:3])) == 1 and len(set(labels[3:])) == 1 and labels[0] != labels[3]
