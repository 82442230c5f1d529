"""Intervals contain the true rate."""

from __future__ import annotations

import numpy as np

from arcface_mx.metrics.calibration import all_pair_scores
from arcface_mx.metrics.intervals import binomial_interval, identity_interval


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
