"""Intervals contain the true rate."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from arcface_mx.metrics import intervals
from arcface_mx.metrics.calibration import all_pair_scores
from arcface_mx.metrics.intervals import binomial_interval, identity_interval, middle, resampled_accuracies


def test_interval_covers_the_true_rate_of_independent_pairs():
    random, hits = np.random.RandomState(0), 0
    for _ in range(400):
        low, high = binomial_interval(random.binomial(1000, 0.01), 1000)
        hits += low <= 0.01 <= high
    assert hits / 400 >= 0.95


@pytest.mark.parametrize("accepted, pairs", [(0, 5), (5, 5), (1, 1), (0, 3000), (3, 3000), (37, 50), (2999, 3000)])
def test_interval_is_that_of_clopper_and_pearson(accepted, pairs):
    expected = binomtest(accepted, pairs).proportion_ci(0.95, method="exact")
    np.testing.assert_allclose(binomial_interval(accepted, pairs), (expected.low, expected.high), atol=1e-12)


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


def pairs_of(identities, each):
    """`each` same and `each` different pairs of every identity; its neighbour is in the different ones."""
    first = np.repeat(np.arange(identities), 2 * each)
    same = np.tile(np.arange(2 * each) < each, identities)
    return same, np.stack([first, np.where(same, first, (first + 1) % identities)], axis=1)


def test_an_interval_over_identities_is_that_of_independent_pairs_where_each_identity_has_one_pair_of_a_kind():
    random = np.random.RandomState(0)
    same = np.arange(4000) < 2000
    identities = np.stack([np.arange(4000), np.where(same, np.arange(4000), np.arange(4000, 8000))], axis=1)
    correct = random.rand(1, 4000) < 0.9
    low, high = middle(resampled_accuracies(correct, same, identities)[0])
    share = correct.mean()
    # Same pairs vary as independent ones; of a different pair both identities are drawn, so it varies more.
    independent = 1.96 * np.sqrt(share * (1 - share) / 4000)
    assert 1.0 < (high - low) / 2 / independent < 1.5 and low < share < high


def test_pairs_of_one_identity_are_not_independent():
    """All pairs of an identity are right or wrong together: 20 identities count, not 800 pairs."""
    same, identities = pairs_of(20, 20)
    right = np.random.RandomState(1).rand(20) < 0.7
    correct = np.repeat(right, 40)[None]
    low, high = middle(resampled_accuracies(correct, same, identities)[0])
    assert high - low > 5 * 1.96 * np.sqrt(0.7 * 0.3 / 800)


def test_methods_have_the_same_draws():
    same, identities = pairs_of(30, 3)
    first = np.random.RandomState(2).rand(180) < 0.8
    draws = resampled_accuracies(np.stack([first, first, ~first]), same, identities)
    assert (draws[0] == draws[1]).all() and np.allclose(draws[0] + draws[2], 1.0, atol=1e-12)


def test_a_resample_weighs_pairs_by_how_often_their_identities_are_drawn(monkeypatch):
    """By a loop over pairs. A different pair counts as often as both of its identities are drawn."""
    monkeypatch.setattr(intervals, "RESAMPLES", 20)
    same, identities = pairs_of(12, 2)
    correct = np.random.RandomState(3).rand(len(same)) < 0.6
    random, expected = np.random.RandomState(0), []
    for _ in range(20):
        drawn = random.randint(12, size=12).tolist()
        counts = {True: [0, 0], False: [0, 0]}  # correct ones, and all
        for right, kind, (first, second) in zip(correct, same, identities):
            weight = drawn.count(first) * (1 if kind else drawn.count(second))
            counts[bool(kind)][0] += weight * right
            counts[bool(kind)][1] += weight
        expected.append(np.mean([hits / max(every, 1) for hits, every in counts.values()]))
    np.testing.assert_allclose(resampled_accuracies(correct[None], same, identities)[0], expected, atol=1e-12)
