"""Gallery search lists identities, its threshold keeps the FPIR, and faiss agrees."""

from __future__ import annotations

import decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arcface_mx.faces.gallery import Gallery, false_match_rate, search, unknown_threshold
from arcface_mx.metrics.calibration import PairScores, calibrate
from arcface_mx.util.errors import UserError


def unit(count, d=16, seed=0):
    vectors = np.random.RandomState(seed).normal(size=(count, d)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_faiss_gives_the_same():
    pytest.importorskip("faiss")
    gallery = Gallery(np.arange(500).astype(str), np.arange(500).astype(str), unit(500), "", False, "none")
    queries = unit(20, seed=1)
    for by_faiss, by_numpy in zip(search(gallery, queries, 5, faiss=True), search(gallery, queries, 5)):
        assert [match.name for match in by_faiss] == [match.name for match in by_numpy]
        np.testing.assert_allclose([m.cosine for m in by_faiss], [m.cosine for m in by_numpy], atol=1e-6)


@given(seed=st.integers(0, 50), k=st.integers(1, 8))
def test_identities_are_listed_once_with_their_best_image(seed, k):
    vectors, queries = unit(30, seed=seed), unit(4, seed=seed + 1)
    names = np.random.RandomState(seed).randint(0, 6, 30).astype(str)
    gallery = Gallery(names, np.arange(30).astype(str), vectors, "", False, "none")
    for probe, matches in zip(queries, search(gallery, queries, k)):
        best = {
            name: max(float(probe @ vector) for vector, entry in zip(vectors, names) if entry == name)
            for name in set(names)
        }
        expected = sorted(best.items(), key=lambda item: -item[1])[:k]
        assert [match.name for match in matches] == [name for name, _ in expected]
        np.testing.assert_allclose([match.cosine for match in matches], [score for _, score in expected], atol=1e-6)


@pytest.mark.parametrize("entries", [1, 10, 1000])
def test_strangers_are_named_as_often_as_stated(entries):
    """A threshold from independent cosines keeps the FPIR on other ones."""
    random = np.random.RandomState(0)
    calibration = calibrate(PairScores(np.ones(1), random.normal(0, 0.2, 400_000)))
    threshold = unknown_threshold(calibration, 0.1, entries)
    best = random.normal(0, 0.2, (1500, entries)).max(1)
    assert np.mean(best >= threshold) == pytest.approx(0.1, abs=0.03)


@pytest.mark.parametrize("faiss", [False, True])
@pytest.mark.parametrize("k", [1, 3, 4, 9])
def test_identities_behind_many_images_of_another_are_listed(k, faiss):
    """The nearest 200 entries are of one identity; three identities are far behind them."""
    if faiss:
        pytest.importorskip("faiss")
    vectors = np.eye(16, dtype=np.float32)[[0] * 200 + [1, 2, 3]]
    names = np.asarray(["many"] * 200 + ["a", "b", "c"])
    probe = np.asarray([[9, 3, 2, 1] + [0] * 12], np.float32)
    matches = search(Gallery(names, names, vectors, "", False, "none"), probe, k, faiss)[0]
    assert [match.name for match in matches] == ["many", "a", "b", "c"][:k]


def test_half_precision_changes_cosines_by_less_than_stated():
    vectors, probes = unit(3000, 64), unit(20, 64, seed=1)
    names = np.arange(3000).astype(str)
    single, half = (
        search(Gallery(names, names, stored, "", False, "none"), probes, 5)
        for stored in (vectors, vectors.astype(np.float16))
    )
    for ours, others in zip(single, half):
        np.testing.assert_allclose([m.cosine for m in ours], [m.cosine for m in others], atol=1e-4)
    assert [m.cosine for m in single[0]] != [m.cosine for m in half[0]]


def test_false_match_rate_inverts_the_formula():
    decimal.getcontext().prec = 50
    for fpir in (1e-6, 0.01, 0.5):
        for entries in (1, 100, 10**6):
            back = 1 - (1 - decimal.Decimal(false_match_rate(fpir, entries))) ** entries
            assert float(back) == pytest.approx(fpir, rel=1e-9)


def test_other_lengths_are_refused():
    gallery = Gallery(np.array(["a"]), np.array(["a"]), unit(1), "", False, "none")
    with pytest.raises(UserError, match="length 16, probes have 8"):
        search(gallery, unit(1, 8), 1)
