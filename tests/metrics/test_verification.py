"""Verification metrics equal an independent count, for any scores, ties included."""

from __future__ import annotations

import sys
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn.model_selection import KFold

from arcface_mx.metrics.similarity import pair_scores
from arcface_mx.metrics.verification import (
    best_threshold,
    best_threshold_on_grid,
    check_folds,
    equal_error_rate,
    error_rates,
    evaluate,
    roc_curve,
    tar_at_far,
)
from arcface_mx.util.errors import UserError
from tests.support import slow_metrics as slow

# Few distinct values: many ties.
coarse = st.integers(-4, 4).map(lambda value: value / 4)
fine = st.floats(-1, 1, allow_nan=False, width=32)
scored = st.lists(st.tuples(st.one_of(coarse, fine), st.booleans()), min_size=6, max_size=25)


def unzip(pairs):
    scores, same = [score for score, _ in pairs], [label for _, label in pairs]
    assume(any(same) and not all(same))
    return scores, same


def roc_of(scores, same):
    return roc_curve(np.array(scores), np.array(same))


@given(scored, st.integers(2, 6))
def test_fold_accuracy_equals_a_count(pairs, folds):
    scores, same = unzip(pairs)
    for others, _ in KFold(folds).split(scores):
        outside = [same[number] for number in others]
        assume(any(outside) and not all(outside))
    result = evaluate(np.array(scores), np.array(same), folds)
    expected = slow.fold_accuracies(scores, same, folds)
    assert result.fold_accuracies == pytest.approx([float(value) for value in expected], abs=1e-12)
    assert result.accuracy == pytest.approx(float(sum(expected) / folds), abs=1e-12)
    assert result.std == pytest.approx(np.std([float(value) for value in expected]), abs=1e-12)


@given(scored)
def test_operating_points_equal_a_count(pairs):
    scores, same = unzip(pairs)
    roc = roc_of(scores, same)
    expected = [(float(tar), float(far)) for tar, far in slow.operating_points(scores, same)]
    np.testing.assert_allclose(np.stack([roc.tar, roc.far], axis=1), expected, atol=1e-12)
    assert roc.thresholds[1:].tolist() == sorted(set(scores), reverse=True)


@given(scored, st.sampled_from([0.5, 0.3, 0.25, 0.1, 0.05]))
def test_rates_equal_a_count(pairs, far):
    scores, same = unzip(pairs)
    roc = roc_of(scores, same)
    expected = slow.tar_at_far(scores, same, Fraction(far).limit_denominator(100))
    assert tar_at_far(roc, far) == (None if expected is None else pytest.approx(float(expected), abs=1e-12))
    assert error_rates(scores, same).auc == pytest.approx(float(slow.auc(scores, same)), abs=1e-12)
    assert equal_error_rate(roc) == pytest.approx(float(slow.equal_error_rate(scores, same)), abs=1e-12)


@given(scored)
def test_threshold_decides_most_pairs_and_lies_between_scores(pairs):
    scores, same = unzip(pairs)
    chosen = best_threshold(np.array(scores), np.array(same))
    most = max(slow.accuracy(scores, same, cut) for cut in [2.0] + scores)
    assert slow.accuracy(scores, same, chosen) == most


def test_the_threshold_is_chosen_without_the_held_out_fold():
    """Changing the labels of a fold does not change the threshold of that fold."""
    random = np.random.RandomState(0)
    same = np.arange(200) % 2 == 0
    scores = random.normal(0, 0.2, 200) + 0.2 * same
    changed = same.copy()
    changed[40:60] = ~changed[40:60]
    before, after = evaluate(scores, same), evaluate(scores, changed)
    assert after.thresholds[2] == before.thresholds[2]
    assert after.thresholds != before.thresholds


def released_accuracy(first, second, same, folds):
    """The released evaluation, counted threshold by threshold on squared distances of unit embeddings."""
    unit = [array / np.linalg.norm(array, axis=1, keepdims=True) for array in (first, second)]
    distance = ((unit[0] - unit[1]) ** 2).sum(axis=1)
    accuracies = []
    for training, held_out in KFold(folds).split(distance):
        right = [np.mean((distance[training] < grid) == same[training]) for grid in np.arange(0, 4, 0.01)]
        grid = np.arange(0, 4, 0.01)[int(np.argmax(right))]
        accuracies.append(np.mean((distance[held_out] < grid) == same[held_out]))
    return accuracies


@pytest.mark.parametrize("seed", range(6))
def test_the_released_protocol_meets_the_released_accuracy_to_the_pair(seed):
    random = np.random.RandomState(seed)
    same = random.rand(200) < 0.5
    first = random.normal(size=(200, 16))
    second = np.where(same[:, None], first, 0) * 0.4 + random.normal(size=(200, 16))
    scores = pair_scores(np.concatenate([first, second]), np.arange(200), np.arange(200, 400))
    metrics = evaluate(scores, same, 10, protocol="insightface")
    assert metrics.fold_accuracies == pytest.approx(released_accuracy(first, second, same, 10))
    exact = evaluate(scores, same, 10)
    assert exact.thresholds != metrics.thresholds and exact.tar_at_far == metrics.tar_at_far


def test_of_equally_good_grid_thresholds_the_smallest_squared_distance_is_taken():
    # Same pairs at a squared distance of 0.105, different ones at 1: 0.11 is the first good value.
    cosines, same = np.array([1 - 0.105 / 2] * 2 + [0.5] * 2), np.array([True, True, False, False])
    assert best_threshold_on_grid(cosines, same) == pytest.approx(0.11)
    # A pair at the threshold itself is not accepted.
    assert best_threshold_on_grid(np.array([1.0, 1.0, 0.5, 0.5]), same) == pytest.approx(0.01)


def test_perfect_and_reversed_scores():
    same = np.arange(40) % 2 == 0
    perfect = evaluate(np.where(same, 0.8, 0.2), same)
    assert (perfect.accuracy, perfect.std, perfect.eer, perfect.auc) == (1, 0, 0, 1)
    assert perfect.thresholds == pytest.approx([0.5] * 10)
    assert perfect.tar_at_far[1e-1] == 1
    reverse = evaluate(np.where(same, 0.2, 0.8), same)
    assert (reverse.accuracy, reverse.eer, reverse.auc) == (0.5, 1, 0)


def test_equal_scores_are_accepted_together():
    """One different pair scores as high as all same pairs: at FAR 0 nothing can be accepted."""
    same = np.array([True] * 10 + [False] * 20)
    scores = np.where(same, 0.5, np.linspace(-1, 0, 30))
    scores[10] = 0.5
    roc = roc_of(scores, same)
    assert tar_at_far(roc, 0.05) == 1.0  # one of 20
    assert roc.accepted_different.tolist()[:3] == [0, 1, 2]
    assert (10 * roc.tar).tolist()[:3] == [0, 10, 10]


@pytest.mark.parametrize(
    "different, far, measurable",
    [(3000, 1e-3, True), (3000, 1e-4, False), (1000, 1e-3, True), (999, 1e-3, False), (10, 0.1, True)],
)
def test_far_needs_as_many_different_pairs(different, far, measurable):
    same = np.arange(different + 50) < 50
    roc = roc_of(np.linspace(1, -1, different + 50), same)
    assert tar_at_far(roc, far) == (1.0 if measurable else None)


def test_far_of_one_in_a_thousand_of_3000_pairs_allows_three():
    scores = np.concatenate([np.full(10, 0.5), [0.9, 0.8, 0.7, 0.4], np.linspace(-1, 0, 2996)])
    same = np.arange(3010) < 10
    assert tar_at_far(roc_of(scores, same), 1e-3) == 1.0
    scores[13] = 0.6  # a fourth above the same pairs
    assert tar_at_far(roc_of(scores, same), 1e-3) == 0.0


def test_allowed_pairs_are_counted_without_rounding_down():
    """0.29 · 100 is 28.999999999999996 in floats; 29 pairs are allowed."""
    scores = np.concatenate([[0.5], np.full(29, 0.9), np.full(71, 0.1)])
    assert tar_at_far(roc_of(scores, np.arange(101) < 1), 0.29) == 1.0


@pytest.mark.parametrize("count, folds", [(5, 10), (10, 1), (0, 10), (3, -2)])
def test_impossible_folds_are_refused(count, folds):
    with pytest.raises(UserError, match=f"{count} pairs do not make {folds} folds"):
        check_folds(count, folds, "x.bin")


def test_one_sided_training_folds_are_refused():
    with pytest.raises(UserError, match="x.bin outside fold 0: 0 same and 10 different pairs; both kinds are needed"):
        evaluate(np.linspace(0, 1, 20), np.arange(20) < 10, folds=2, name="x.bin")


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_scores_that_are_not_finite_are_refused(bad):
    scores = np.linspace(0, 1, 20)
    scores[7] = bad
    with pytest.raises(UserError, match="pair 7 is not finite"):
        evaluate(scores, np.arange(20) % 2 == 0)


def test_json_holds_plain_values():
    import json

    same = np.arange(40) % 2 == 0
    value = evaluate(np.where(same, 0.8, 0.2), same).to_json()
    assert json.loads(json.dumps(value))["tar_at_far"] == {
        "1e-01": 1.0,
        "1e-02": None,
        "1e-03": None,
        "1e-04": None,
        "1e-05": None,
        "1e-06": None,
    }


def calls(function):
    """The number of calls of Python functions and of functions in C, which no other load changes."""
    found = []
    sys.setprofile(lambda frame, event, value: found.append(event) if event in ("call", "c_call") else None)
    try:
        function()
    finally:
        sys.setprofile(None)
    return len(found)


def test_no_pair_is_looked_at_on_its_own():
    """Ten times as many pairs take the same calls, but for their blocks. A loop over pairs would take 12,000 more."""
    random = np.random.RandomState(0)

    def verify(pairs):
        embeddings, left = random.randn(2 * pairs, 8).astype(np.float32), np.arange(0, 2 * pairs, 2)
        evaluate(pair_scores(embeddings, left, left + 1), np.arange(pairs) % 2 == 0)

    verify(600)  # imports
    few, many = (calls(lambda pairs=pairs: verify(pairs)) for pairs in (600, 6000))
    assert many < few + 300


@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 2, 6]))
def test_rates_by_sorting_equal_those_of_the_roc_curve(seed, decimals):
    """Also with many equal scores."""
    random = np.random.RandomState(seed)
    same = random.rand(random.randint(2, 300)) < 0.4
    same[:2] = True, False
    scores = (random.randn(len(same)) + same).round(decimals)
    rates, roc = error_rates(scores, same), roc_curve(scores, same)
    assert rates.eer == pytest.approx(equal_error_rate(roc), abs=1e-12)
    assert {far: tar_at_far(roc, far) for far in rates.tar_at_far} == rates.tar_at_far
