"""Drawn pairs are balanced, never repeated, and form ten equal folds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arcface_mx.data.bins.draw_pairs import FOLDS, draw_pairs
from arcface_mx.util.errors import UserError


@given(counts=st.lists(st.integers(0, 12), min_size=2, max_size=30), limit=st.integers(10, 500), seed=st.integers(0, 5))
def test_pairs_are_correct_balanced_and_distinct(counts, limit, seed):
    available = sum(n * (n - 1) // 2 for n in counts)
    try:
        pairs = draw_pairs(counts, limit, seed)
    except UserError:
        assert available < FOLDS or sum(n > 0 for n in counts) < 5
        return
    wanted = min(limit, available) // FOLDS * FOLDS
    assert len(pairs) == 2 * wanted
    assert len({tuple(sorted((pair.first, pair.second))) for pair in pairs}) == len(pairs)
    for first, second, same in pairs:
        assert first != second and same == (first[0] == second[0])
        assert first[1] < counts[first[0]] and second[1] < counts[second[0]]
    size = len(pairs) // FOLDS
    for start in range(0, len(pairs), size):
        fold = [pair.same for pair in pairs[start : start + size]]
        assert fold == [True] * (size // 2) + [False] * (size // 2)
        identities = {pair.first[0] for pair in pairs[start : start + size] if pair.same}
        assert {pair.first[0] for pair in pairs[start : start + size]} == identities
    assert draw_pairs(counts, limit, seed) == pairs


def test_limit_draws_evenly_over_identities():
    pairs = draw_pairs([30, 3, 3, 3, 3], limit=10)
    same = [sum(pair.same and pair.first[0] == identity for pair in pairs) for identity in range(5)]
    assert same == [2, 2, 2, 2, 2]


@pytest.mark.parametrize(
    "counts, message", [([2, 2], "10 are needed"), ([9], "two identities"), ([10, 1], "too few identities")]
)
def test_too_few_images_or_identities_are_refused(counts, message):
    with pytest.raises(UserError, match=message):
        draw_pairs(counts)
