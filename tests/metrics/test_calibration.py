"""Thresholds keep the stated rates on their own pairs, and intervals contain the true rate."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arcface_mx.cli import main
from arcface_mx.metrics.calibration import PairScores, all_pair_scores, calibrate
from arcface_mx.metrics.intervals import binomial_interval, identity_interval
from arcface_mx.metrics.verification import error_rates
from arcface_mx.util.errors import UserError
from arcface_mx.verify.calibration_file import read_calibration
from tests.support import nets


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


def test_interval_covers_the_true_rate_of_independent_pairs():
    random, hits = np.random.RandomState(0), 0
    for _ in range(400):
        low, high = binomial_interval(random.binomial(1000, 0.01), 1000)
        hits += low <= 0.01 <= high
    assert hits / 400 >= 0.95


def test_interval_from_identities_covers_the_truth_where_that_of_independent_pairs_does_not():
    """Embeddings of 60 identities × 5 images; the images of an identity are similar."""
    random = np.random.RandomState(0)

    def population(identities, images):
        centres = np.repeat(random.normal(0, 1, (identities, 6)), images, 0)
        return centres + random.normal(0, 0.3, centres.shape), np.repeat(np.arange(identities), images)

    truth = np.mean(all_pair_scores(*population(1500, 1)).different >= 0.8)
    by_identities = by_pairs = 0
    for _ in range(60):
        pairs = all_pair_scores(*population(60, 5))
        accepted = pairs.different >= 0.8
        low, high = identity_interval(pairs.identities[accepted], pairs.images_per_identity)
        by_identities += low <= truth <= high
        low, high = binomial_interval(int(accepted.sum()), len(accepted))
        by_pairs += low <= truth <= high
    assert by_identities >= 51 > by_pairs


def test_all_pairs_against_loops():
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


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    symbol = nets.embedding((32, 32))
    return nets.save(tmp_path_factory.mktemp("calibrated"), symbol, *nets.parameters(symbol, (32, 32))) + ",0"


def test_command_on_pairs_and_on_a_face_set(model, tiny_pairs, tiny_faces, tmp_path, capsys):
    for source, pairs, kind in (
        (tiny_pairs, 20, "independent"),
        (tiny_faces, 35 * 34 // 2 - 5 * 21, "identities are drawn"),
    ):
        path = str(tmp_path / "c.json")
        assert main(["calibrate", model, source, "--out", path]) == 0
        shown = capsys.readouterr().out
        assert f"{pairs} different pairs" in shown and kind in shown and f"not measurable with {pairs}" in shown
        stored = read_calibration(path, model)
        assert stored.for_flip("sum").num_different == stored.for_flip("none").num_different == pairs


def test_a_calibration_of_other_parameters_is_refused(model, tiny_pairs, tmp_path):
    path = str(tmp_path / "c.json")
    assert main(["calibrate", model, tiny_pairs, "--out", path]) == 0
    symbol = nets.embedding((32, 32))
    other = nets.save(tmp_path, symbol, *nets.parameters(symbol, (32, 32), seed=1)) + ",0"
    with pytest.raises(UserError, match="was made with other parameters"):
        read_calibration(path, other)


@pytest.mark.parametrize("content", ["", "[]", "{}", json.dumps({"format": 9}), json.dumps({"format": 2, "flips": 3})])
def test_a_broken_file_is_named(model, tmp_path, content):
    path = tmp_path / "c.json"
    path.write_text(content)
    with pytest.raises(UserError, match="c.json"):
        read_calibration(str(path), model)
