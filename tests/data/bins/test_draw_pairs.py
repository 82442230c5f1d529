"""Pairs drawn from people are balanced, never repeated, and fall into ten equal folds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arcface_mx.data.bins.draw_pairs import FOLDS, draw_pairs
from arcface_mx.util.errors import UserError


@given(photos=st.lists(st.integers(0, 12), min_size=2, max_size=30), limit=st.integers(10, 500), seed=st.integers(0, 5))
def test_pairs_are_true_balanced_and_distinct(photos, limit, seed):
    available = sum(n * (n - 1) // 2 for n in photos)
    try:
        pairs = draw_pairs(photos, limit, seed)
    except UserError:
        assert available < FOLDS or sum(n > 0 for n in photos) < 5
        return
    wanted = min(limit, available) // FOLDS * FOLDS
    assert len(pairs) == 2 * wanted
    assert len({tuple(sorted((pair.first, pair.second))) for pair in pairs}) == len(pairs)
    for first, second, same in pairs:
        assert first != second and same == (first[0] == second[0])
        assert first[1] < photos[first[0]] and second[1] < photos[second[0]]
    size = len(pairs) // FOLDS
    for start in range(0, len(pairs), size):
        fold = [pair.same for pair in pairs[start : start + size]]
        assert fold == [True] * (size // 2) + [False] * (size // 2)
        own = {pair.first[0] for pair in pairs[start : start + size] if pair.same}
        assert {pair.first[0] for pair in pairs[start : start + size]} == own
    assert draw_pairs(photos, limit, seed) == pairs


def test_a_cap_takes_from_all_people_alike():
    pairs = draw_pairs([30, 3, 3, 3, 3], limit=10)
    counts = [sum(pair.same and pair.first[0] == person for pair in pairs) for person in range(5)]
    assert counts == [2, 2, 2, 2, 2]


@pytest.mark.parametrize(
    "photos, told", [([2, 2], "10 are needed"), ([9], "two identities"), ([10, 1], "too few identities")]
)
def test_too_few_photos_or_people(photos, told):
    with pytest.raises(UserError, match=told):
        draw_pairs(photos)
