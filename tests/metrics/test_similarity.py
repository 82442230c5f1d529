"""Similarity search is exact, whatever the blocks, and names broken embeddings."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arcface_mx.metrics import similarity
from arcface_mx.metrics.similarity import BLOCK, cosine_blocks, lengths, nearest, pair_scores, unit_vectors
from arcface_mx.util.errors import UserError


def unit(count, d=16, seed=0):
    return unit_vectors(np.random.RandomState(seed).normal(size=(count, d)).astype(np.float32))


@pytest.mark.slow
@pytest.mark.parametrize("block", [BLOCK, (7, 200), (1, 3)])
@pytest.mark.parametrize(
    "entries, probes, k", [(1, 1, 1), (7, 3, 7), (300, 261, 10), (1283, 40, 5), (1280, 3, 9), (1281, 3, 10)]
)
def test_nearest_is_exact(entries, probes, k, block):
    vectors, queries = unit(entries), unit(probes, seed=1)
    scores, rows = nearest(queries, vectors, k, block)
    exact = queries.astype(np.float64) @ vectors.T.astype(np.float64)
    np.testing.assert_allclose(scores, -np.sort(-exact, axis=1)[:, :k], atol=1e-6)
    np.testing.assert_allclose(np.take_along_axis(exact, rows, 1), scores, atol=1e-6)


def unaligned(entries):
    memory = np.frombuffer(b"x" + entries.tobytes(), np.uint8)[1:]
    return memory.view(np.float32).reshape(entries.shape)


@pytest.mark.parametrize("block", [BLOCK, (7, 200), (3, 7)])
@pytest.mark.parametrize("stored", [unaligned, lambda entries: entries.astype(np.float16)])
def test_stored_forms_of_the_entries_give_the_cosines_of_their_values(stored, block):
    entries, queries = stored(unit(331)), unit(20, seed=1)
    found, expected = nearest(queries, entries, 5, block), nearest(queries, entries.astype(np.float32), 5)
    assert np.array_equal(found[1], expected[1])
    np.testing.assert_allclose(found[0], expected[0], atol=1e-6)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 20, -20])
@pytest.mark.parametrize("block", [BLOCK, (2, 50)])
def test_an_entry_that_is_no_unit_vector_is_named(value, block):
    entries = unit(331)
    entries[217, 3] = value
    with pytest.raises(UserError, match="x.npz: vector 217 does not have length 1"):
        nearest(np.eye(16, dtype=np.float32)[3:4], entries, 2, block, "x.npz")


@pytest.mark.parametrize("block", [BLOCK, (2, 3), (1, 1)])
@pytest.mark.parametrize("k", [1, 2, 4])
def test_equal_entries_are_in_order_and_the_nearest_is_the_first(k, block):
    entries = np.repeat(np.eye(3, dtype=np.float32), 4, axis=0)
    _, rows = nearest(np.eye(3, dtype=np.float32), entries, k, block)
    assert (rows // 4 == np.arange(3)[:, None]).all()
    assert (np.diff(rows, axis=1) > 0).all()
    if k == 1:
        assert rows[:, 0].tolist() == [0, 4, 8]


@pytest.mark.parametrize("block", [BLOCK, (3, 5), (1, 1), (20, 4)])
def test_cosine_blocks_cover_every_pair_once(block):
    queries, entries = unit(12), unit(17, seed=1)
    exact = queries @ entries.T
    covered = np.full(exact.shape, np.nan, np.float32)
    for rows, columns, cosines in cosine_blocks(queries, entries, block):
        assert np.isnan(covered[rows, columns]).all()
        covered[rows, columns] = cosines
    np.testing.assert_allclose(covered, exact, atol=1e-6)
    within = np.full((12, 12), -np.inf)
    for rows, columns, cosines in cosine_blocks(queries, block=block):
        np.maximum(within[rows, columns], cosines, out=within[rows, columns])
    expected = np.where(np.triu(np.ones((12, 12), bool), 1), queries @ queries.T, -np.inf)
    np.testing.assert_allclose(within, expected, atol=1e-6)


@given(st.integers(0, 2**32 - 1))
def test_scores_are_cosines(seed):
    random = np.random.RandomState(seed)
    embeddings = (random.randn(30, 16) * random.uniform(0.01, 100, (30, 1))).astype(np.float32)
    left, right = random.randint(0, 30, (2, 1100))
    exact = embeddings.astype(np.float64)
    expected = [exact[i] @ exact[j] / np.linalg.norm(exact[i]) / np.linalg.norm(exact[j]) for i, j in zip(left, right)]
    np.testing.assert_allclose(pair_scores(embeddings, left, right), expected, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(unit_vectors(embeddings), axis=1), 1, atol=1e-6)


@pytest.mark.parametrize(
    "value, message",
    [(0, "image 3 is a zero vector \\(1 of 5"), (np.nan, "image 3 is not finite"), (np.inf, "image 3 is not finite")],
)
def test_broken_embeddings_are_named(value, message):
    embeddings = np.ones((5, 4), np.float32)
    embeddings[3] = value
    with pytest.raises(UserError, match="model on x.bin: the embedding of " + message):
        lengths(embeddings, "model on x.bin")


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("rows, pairs", [(40, 3000), (300, 50)])  # blocks of products, and single pairs
def test_scores_of_many_pairs_equal_those_of_single_pairs(monkeypatch, ordered, rows, pairs):
    monkeypatch.setattr(similarity, "DENSE_ROWS", 7)
    random = np.random.RandomState(0)
    unit = unit_vectors(random.randn(rows, 16)).astype(np.float32)
    left, right = random.randint(3, rows, (2, pairs))  # some rows occur in no pair
    left = np.sort(left) if ordered else left
    scores = similarity.dense_pair_scores(unit, left, right)
    assert scores.dtype == np.float32
    expected = np.einsum("pd,pd->p", unit[left].astype(np.float64), unit[right].astype(np.float64))
    np.testing.assert_allclose(scores, expected, atol=1e-6)


@pytest.mark.parametrize("entries", [128 * 8, 128 * 8 + 1, 128 * 8 + 127])
def test_the_last_entries_of_a_long_list_are_found_too(entries):
    """Long rows are searched in chunks of 128 entries, and what is left of them on its own."""
    random = np.random.RandomState(0)
    gallery = unit_vectors(random.randn(entries, 8).astype(np.float32))
    probes = unit_vectors(gallery[[0, 500, entries - 2, entries - 1]] + 0.01 * random.randn(4, 8).astype(np.float32))
    cosines, rows = nearest(probes, gallery, 3)
    expected = np.argsort(-(probes @ gallery.T), axis=1, kind="stable")[:, :3]
    np.testing.assert_array_equal(rows, expected)
    assert rows[:, 0].tolist() == [0, 500, entries - 2, entries - 1]
