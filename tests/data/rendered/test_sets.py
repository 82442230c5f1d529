"""The pairs of the rendered verification sets."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("numba", reason="the extra `rendered` is not installed")

from arcface_mx.data.rendered.options import RenderOptions  # noqa: E402
from arcface_mx.data.rendered.sets import AGE_GAP, COMPARISONS, FOLDS, OLD, YOUNG, choose_pairs  # noqa: E402
from arcface_mx.util.errors import UserError  # noqa: E402

SMALL = RenderOptions(test_identities=60, test_images=4, pairs=200)


@pytest.mark.parametrize("comparison", COMPARISONS, ids=lambda c: c.name)
@settings(derandomize=True, deadline=None, max_examples=10)
@given(seed=st.integers(0, 2**31), identities=st.integers(40, 90))
def test_folds_share_no_identity_and_half_of_their_pairs_are_of_the_same_identity(comparison, seed, identities):
    options = RenderOptions(seed=seed, test_identities=identities, test_images=4, pairs=200)
    pairs = choose_pairs(comparison, options)
    assert len(pairs) == 200 and pairs == choose_pairs(comparison, options)
    seen = set()
    for fold in range(FOLDS):
        part = pairs[fold * 20 : (fold + 1) * 20]
        assert sum(pair.same for pair in part) == 10
        members = {identity for pair in part for _, identity, _ in (pair.first, pair.second)}
        assert not members & seen
        seen |= members
    for pair in pairs:
        assert (pair.first[1] == pair.second[1]) == pair.same
        assert pair.first[0] is comparison.first and pair.second[0] is comparison.second
        assert pair.first != pair.second


@pytest.mark.parametrize("comparison", COMPARISONS, ids=lambda c: c.name)
def test_no_two_images_are_compared_twice(comparison):
    pairs = choose_pairs(comparison, SMALL)
    compared = {frozenset([(p.first[0].name, *p.first[1:]), (p.second[0].name, *p.second[1:])]) for p in pairs}
    assert len(compared) == len(pairs)


def test_thirty_years_are_between_the_images_of_every_pair():
    for pair in choose_pairs(COMPARISONS[2], SMALL):
        (young, _, first), (old, _, second) = pair.first, pair.second
        assert young is YOUNG and old is OLD
        assert old.age(second) - young.age(first) == pytest.approx(AGE_GAP) == 30.0
        assert 18 <= young.age(first) <= 42


def test_other_seeds_choose_other_pairs():
    first, second = (choose_pairs(COMPARISONS[0], RenderOptions(seed=seed)) for seed in (0, 1))
    assert first != second


def test_too_few_identities_are_refused_with_the_arguments_to_change():
    with pytest.raises(UserError, match="`test_identities`.*`test_images`.*`pairs`"):
        choose_pairs(COMPARISONS[0], RenderOptions(test_identities=30, test_images=2, pairs=3000))


@pytest.mark.parametrize(
    "change, argument",
    [
        ({"identities": 0}, "identities"),
        ({"images": 0}, "images"),
        ({"seed": -1}, "seed"),
        ({"pairs": 0}, "pairs"),
        ({"test_images": 0}, "test_images"),
        ({"supersampling": 0.5}, "supersampling"),
        ({"identities": 2**24}, "identities"),
    ],
)
def test_options_out_of_range_are_refused_by_name(change, argument):
    with pytest.raises(UserError, match=f"`{argument}` must be"):
        RenderOptions(**change).check()


def test_pairs_that_do_not_fill_the_folds_are_refused_by_name():
    with pytest.raises(UserError, match="`pairs` must be a multiple of 20"):
        choose_pairs(COMPARISONS[0], RenderOptions(pairs=30))
