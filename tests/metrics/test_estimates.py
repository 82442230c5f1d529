"""Intervals of dependent pairs: variance by a double loop and by cimat, and coverage in simulated sets."""

from __future__ import annotations

import importlib.util
import pathlib

import numpy as np
import pytest

from arcface_mx.metrics.bands import bands
from arcface_mx.metrics.comparison import compare, mcnemar
from arcface_mx.metrics.estimates import (
    Influence,
    estimate,
    estimates,
    influences,
    rates_at,
    share,
    variance,
)
from arcface_mx.metrics.identity_bootstrap import PairIdentities, best_accuracy_draws, pair_weights
from arcface_mx.metrics.verification import evaluate
from arcface_mx.util.errors import UserError

COVERAGE = pathlib.Path(__file__).resolve().parents[2] / "recipes" / "bench" / "interval_coverage.py"


@pytest.fixture(scope="module")
def coverage():
    """The script recipes/bench/interval_coverage.py."""
    spec = importlib.util.spec_from_file_location("coverage_of_intervals", COVERAGE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def pairs(coverage):
    """Scores of two models on 600 pairs, their labels and identities."""
    return coverage.draw(np.random.RandomState(3), 60, 4, 5, 5)


def test_variance_equals_a_loop_over_all_dependent_pairs():
    random = np.random.RandomState(0)
    first, second = random.randint(0, 7, (2, 40))
    values = random.uniform(0, 1, 40)  # all alike, so that the covariance is positive
    total = sum(
        values[p] * values[q] for p in range(40) for q in range(40) if {first[p], second[p]} & {first[q], second[q]}
    )
    assert variance(values, PairIdentities(first, second)) == pytest.approx(total * 7 / 6, rel=1e-12)


def test_variance_is_that_of_independent_pairs_where_no_identity_is_shared():
    values = np.random.RandomState(0).randn(30)
    alone = PairIdentities(np.arange(30), np.arange(30) + 30)
    assert variance(values, alone) == pytest.approx(np.sum(values**2) * 60 / 59)
    opposed = PairIdentities(np.zeros(30, int), np.zeros(30, int))  # contributions cancel out
    assert variance(values - values.mean(), opposed) == pytest.approx(np.sum((values - values.mean()) ** 2))


def test_variance_and_interval_equal_those_of_cimat(coverage):
    cimat = pytest.importorskip("cimat", reason="pip install cimat")
    (scores, _), same, identities = coverage.draw(np.random.RandomState(5), 40, 6, 10, 12)
    count = len(np.unique(np.concatenate(identities)))
    table = {}
    for score, first, second in zip(scores.tolist(), identities.first.tolist(), identities.second.tolist()):
        table.setdefault(first, {}).setdefault(second, []).append(score)
        if first != second:
            table.setdefault(second, {}).setdefault(first, []).append(score)
    oracle = cimat.UncertaintyEstimator(table)
    for threshold in (0.2, 0.3, 0.45):  # with positive and with negative covariance
        fnmr, fmr = (value * count / (count - 1) for value in oracle.compute_variance(threshold))
        of_same, of_different = share(scores < threshold, same), share(scores >= threshold, ~same)
        assert variance(of_same.contributions, identities) == pytest.approx(fnmr)
        assert variance(of_different.contributions, identities) == pytest.approx(fmr)
        low, high = oracle._get_ci_wilson(round(of_same.value * same.sum()), same.sum(), fnmr, 0.05)
        found = estimate(of_same, identities)
        assert (found.low, found.high) == pytest.approx((low, high))


def test_values_are_those_of_verify(pairs):
    (scores, _), same, identities = pairs
    expected, found = evaluate(scores, same), estimates(scores, same, identities)
    assert found["accuracy"].value == pytest.approx(expected.accuracy, abs=1e-12)
    assert found["EER"].value == pytest.approx(expected.eer, abs=1e-12)
    for far in (0.1, 0.01):
        assert found[f"TAR@FAR={far:.0e}"].value == pytest.approx(expected.tar_at_far[far], abs=1e-12)
    assert "TAR@FAR=1e-03" not in found  # 300 different pairs
    assert all(rate.low < rate.value < rate.high for rate in found.values())
    assert "accuracy" not in estimates(scores, same, identities, folds=0)


def test_the_interval_of_the_accuracy_counts_the_choice_of_thresholds(pairs):
    """Half of the square of what the best threshold of all pairs would gain is added to the variance."""
    (scores, _), same, identities = pairs
    best = max(np.mean((scores >= threshold) == same) for threshold in [*scores, np.inf])
    chosen = influences(scores, same)["accuracy"]
    expected = estimate(chosen, identities, (best - chosen.value) ** 2 / 2)
    found, without = estimates(scores, same, identities)["accuracy"], estimate(chosen, identities)
    assert found == pytest.approx(expected) and found.high - found.low > without.high - without.low


def test_contributions_sum_to_zero_and_follow_a_change_of_the_pairs(pairs):
    """The influence predicts what the metric does when some pairs count twice."""
    (scores, _), same, _ = pairs
    again = np.random.RandomState(1).rand(len(same)) < 0.5
    doubled = np.concatenate([scores, scores[again]]), np.concatenate([same, same[again]])
    weights = np.where(again, 2.0, 1.0)
    for kind in (same, ~same):
        weights[kind] /= weights[kind].mean()
    for name, influence in influences(scores, same, 0).items():
        assert influence.contributions.sum() == pytest.approx(0, abs=1e-12)
        moved = influences(*doubled, 0)[name].value - influence.value
        predicted = float(influence.contributions @ weights)
        assert moved == pytest.approx(predicted, abs=0.012), name
        assert abs(moved) > 1e-4 or abs(predicted) < 0.012


def test_rates_at_a_threshold_are_counts():
    scores = np.array([0.9, 0.5, 0.2, 0.5, 0.1])
    same = np.array([True, True, True, False, False])
    identities = PairIdentities(np.array([0, 0, 1, 0, 1]), np.array([0, 0, 1, 1, 2]))
    fmr, fnmr = rates_at(scores, same, identities, 0.5)
    assert (fmr.value, fnmr.value) == (0.5, pytest.approx(1 / 3))
    assert rates_at(scores[:3], same[:3], identities.take(slice(0, 3)), 0.5)[0] is None


def test_no_error_in_few_identities_proves_little():
    everyone = PairIdentities(np.repeat(np.arange(5), 200), np.repeat(np.arange(5), 200))
    perfect = estimate(Influence(1.0, np.zeros(1000)), everyone)
    assert perfect.high == 1.0 and 0.5 < perfect.low < 0.7  # Wilson of 5 of 5


def test_bands_are_the_intervals_at_each_far(pairs):
    (scores, _), same, identities = pairs
    far, tar = bands(scores, same, identities, [1e-9, 0.01, 0.1])
    found = estimates(scores, same, identities, 0)
    assert far.tolist() == [0.01, 0.1]
    np.testing.assert_allclose(tar, [found["TAR@FAR=1e-02"], found["TAR@FAR=1e-01"]])
    with pytest.raises(UserError, match="none can be measured with 300 different pairs"):
        bands(scores, same, identities, [1e-9])


def test_differences_have_the_stated_variance(coverage):
    """On a sparse list a plain bootstrap of products would be wider by the square root of three."""
    scores, same, _ = coverage.draw(np.random.RandomState(3), 300, 4, 2, 2)
    alone = PairIdentities(np.arange(len(same)), np.where(same, np.arange(len(same)), len(same) + np.arange(len(same))))
    found = compare(scores[0], scores[1], same, alone)["EER"]
    ours, theirs = (influences(values, same, 0)["EER"].contributions for values in scores)
    assert found.high - found.low == pytest.approx(2 * 1.96 * np.sqrt(variance(ours - theirs, alone)), rel=0.08)


def test_draws_choose_the_best_threshold(pairs):
    scores, same, identities = pairs
    chosen, fixed = best_accuracy_draws(list(scores), same, identities, 20)
    cuts = np.append(np.unique(scores[1]), 2.0)
    right = (scores[1] >= cuts[:, None]) == same  # (thresholds, pairs)
    for draw, weights in enumerate(next(pair_weights(identities, 20)).astype(np.float64)):
        for kind in (same, ~same):
            weights[kind] /= weights[kind].mean()
        assert chosen[1, draw] == pytest.approx((right @ weights).max() / len(same), abs=1e-5)
        assert fixed[1, draw] <= chosen[1, draw] + 1e-6
    assert (chosen[1] > fixed[1] + 1e-4).any()


def test_equal_scores_are_not_separated():
    same = np.array([True, False] * 50)
    alone = PairIdentities(np.arange(100), np.arange(100))
    for draws in best_accuracy_draws([np.zeros(100)], same, alone, 20):
        np.testing.assert_allclose(draws, 0.5, atol=1e-6)


def test_difference_of_a_model_from_itself_is_zero_and_from_noise_is_not(pairs):
    (scores, _), same, identities = pairs
    equal = compare(scores, scores, same, identities)
    assert all((d.first, d.low, d.high) == (d.second, 0, 0) and not d.beyond_noise for d in equal.values())
    noise = np.random.RandomState(0).randn(len(same))
    found = compare(scores, noise, same, identities)
    assert found["best accuracy"].beyond_noise and found["best accuracy"].low > 0.2
    assert found["EER"].beyond_noise and found["EER"].high < 0


def test_mcnemar_counts_the_pairs_that_one_model_decides():
    from scipy.stats import binomtest

    random = np.random.RandomState(0)
    same = np.arange(400) % 2 == 0
    first, second = (same + random.randn(400) * spread for spread in (0.4, 0.7))
    test = mcnemar(first, second, same)
    accuracies = [evaluate(scores, same).accuracy for scores in (first, second)]
    assert test.only_first - test.only_second == pytest.approx(400 * (accuracies[0] - accuracies[1]))
    discordant = test.only_first + test.only_second
    assert test.p_value == pytest.approx(binomtest(test.only_second, discordant).pvalue)
    assert mcnemar(first, first, same).p_value == 1.0


@pytest.mark.slow
def test_intervals_contain_the_true_value_in_simulated_sets(coverage):
    """The large simulation is recipes/bench/interval_coverage.py; its result is committed."""
    results = coverage.simulate("dense", sets=40, population=1500)
    for name, row in results.items():
        # Of 40 sets with 95 % coverage, fewer than 32 happen once in 4,000 trials.
        assert row["coverage"] >= 32 / 40, name
    for name in ("EER", "TAR@FAR=1e-01", "FNMR"):  # the usual interval is too narrow
        assert results[name]["independent"] < results[name]["coverage"] - 0.05
