"""Thresholds keep the stated rates on their own pairs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arcface_mx.metrics.calibration import PairScores, all_pair_scores, calibrate
from arcface_mx.metrics.verification import error_rates
from arcface_mx.util.errors import UserError


@given(seed=st.integers(0, 100), different=st.integers(5, 3000), decimals=st.integers(1, 6))
def test_a_threshold_accepts_no_more_than_stated_and_as_many_same_pairs_as_verify_says(seed, different, decimals):
    random = np.random.RandomState(seed)
    pairs = PairScores(random.normal(0.5, 0.2, 300).round(decimals), random.normal(0, 0.2, different).round(decimals))
    labels = np.repeat([True, False], [300, different])
    rates = error_rates(np.concatenate(pairs[:2]), labels)
    for far, level in calibrate(pairs).levels.items():
        assert (level is None) == (rates.tar_at_far[far] is None)
        if level:
            assert np.sum(pairs.different >= level.threshold) == level.accepted <= far * different + 1e-9
            assert level.tar == rates.tar_at_far[far]
            assert level.low <= level.accepted / different <= level.high


@given(seed=st.integers(0, 20), far=st.floats(1e-3, 0.5))
def test_thresholds_at_other_rates(seed, far):
    scores = np.random.RandomState(seed).normal(0, 0.2, 5000)
    threshold = calibrate(PairScores(np.ones(3), scores)).threshold(far)
    accepted = np.mean(scores >= threshold)
    assert accepted <= far and accepted >= 0.95 * far - 2e-4


def test_rates_without_enough_pairs_are_refused():
    calibration = calibrate(PairScores(np.ones(3), np.linspace(-1, 0.9, 500)))
    assert calibration.levels[1e-3] is None
    for ask in (lambda: calibration.level(1e-3), lambda: calibration.threshold(1e-3)):
        with pytest.raises(UserError, match="not measurable with 500 different pairs"):
            ask()


def test_a_rate_of_zero_is_refused():
    with pytest.raises(UserError, match="FAR 0: "):
        calibrate(PairScores(np.ones(3), np.linspace(-1, 0.9, 500))).level(0.0)


def test_all_pair_scores_equal_loops():
    random = np.random.RandomState(0)
    embeddings, identities = random.normal(size=(12, 4)), random.randint(0, 4, 12)
    identities[:4] = np.arange(4)
    pairs = all_pair_scores(embeddings, identities)
    same, different = [], []
    for first in range(12):
        for second in range(first + 1, 12):
            a, b = embeddings[first], embeddings[second]
            (same if identities[first] == identities[second] else different).append(a @ b / np.sqrt((a @ a) * (b @ b)))
    np.testing.assert_allclose(np.sort(pairs.same), np.sort(same), atol=1e-6)
    np.testing.assert_allclose(np.sort(pairs.different), np.sort(different), atol=1e-6)
    assert (pairs.identities[:, 0] != pairs.identities[:, 1]).all()
