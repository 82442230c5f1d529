"""Triplets of a bag against a loop over all of them; the rows that are taken."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from arcface_mx.reader import mining as mining_module
from arcface_mx.reader.bag import BagMiner
from arcface_mx.reader.mining import choose_rows, hardest_triplets, random_triplets
from arcface_mx.reader.record_reader import Batch


def slow(distance, labels, margin, mining):
    """{(anchor, positive): (negative, hinge)} by definition."""
    found = {}
    everyone = range(len(labels))
    for a in everyone:
        positives = [p for p in everyone if p != a and labels[p] == labels[a]]
        negatives = [n for n in everyone if labels[n] != labels[a]]
        if not positives or not negatives:
            continue
        if mining == "batch_hard":
            positives = [max(positives, key=lambda p: distance[a, p])]
        for p in positives:
            farther = [n for n in negatives if distance[a, n] > distance[a, p]]
            if mining == "batch_hard":
                n = min(negatives, key=lambda n: distance[a, n])
            elif farther:
                n = min(farther, key=lambda n: distance[a, n])
            elif mining == "semi_hard":
                n = max(negatives, key=lambda n: distance[a, n])
            else:
                continue
            hinge = distance[a, p] - distance[a, n] + margin
            if hinge > 0:
                found[a, p] = (n, hinge)
    return found


@given(st.integers(0, 10**6), st.sampled_from(["semi_hard", "facenet", "batch_hard"]), st.integers(1, 6))
def test_triplets_are_those_of_the_definition(seed, mining, people):
    random = np.random.RandomState(seed)
    labels = random.randint(0, people, 14)
    points = random.randn(14, 3)
    distance = np.linalg.norm(points[:, None] - points[None], axis=2)
    expected = slow(distance, labels, 0.4, mining)
    found = hardest_triplets(distance, labels, 0.4, mining)
    assert {(a, p): n for a, p, n in found.tolist()} == {pair: n for pair, (n, _) in expected.items()}
    hinges = [expected[a, p][1] for a, p, _ in found.tolist()]
    assert hinges == sorted(hinges, reverse=True)


@given(st.integers(0, 10**6), st.sampled_from(["angle", "squared"]), st.integers(1, 6))
def test_random_triplets_are_semi_hard_one_for_each_pair_that_has_one(seed, distance, people):
    random = np.random.RandomState(seed)
    labels, points = random.randint(0, people, 14), random.randn(14, 3)
    unit = points / np.linalg.norm(points, axis=1, keepdims=True)
    cosines = np.clip(unit @ unit.T, -1, 1)
    between = np.arccos(cosines) if distance == "angle" else 2 - 2 * cosines
    expected = {
        (a, p): {n for n in range(14) if labels[n] != labels[a] and 0 < between[a, n] - between[a, p] < 0.4}
        for a in range(14)
        for p in range(a + 1, 14)
        if labels[a] == labels[p]
    }
    found = list(random_triplets(unit, labels, distance, 0.4, np.random.default_rng(seed)))
    assert sorted((a, p) for a, p, _ in found) == sorted(pair for pair, choices in expected.items() if choices)
    assert all(n in expected[a, p] for a, p, n in found)


def test_every_semi_hard_negative_is_drawn_and_the_order_is_random():
    """Rows 0 and 1 are a pair at 10°; of the negatives 2 to 6, those at 15°, 20° and 25° are inside the margin."""
    directions = np.radians([0, 10, 5, 15, 20, 25, 40])
    unit = np.stack([np.cos(directions), np.sin(directions)], axis=1)
    labels = np.asarray([0, 0, 1, 2, 3, 4, 5])
    drawn = {next(random_triplets(unit, labels, "angle", np.radians(20), np.random.default_rng(k))) for k in range(60)}
    assert drawn == {(0, 1, 3), (0, 1, 4), (0, 1, 5)}
    assert choose_rows(unit, labels, 3, "angle", np.radians(20), "facenet", seed=1).tolist()[:2] == [0, 1]
    chosen = {tuple(choose_rows(unit, labels, 3, "angle", np.radians(20), "facenet", seed=[k, 7])) for k in range(60)}
    assert chosen == {(0, 1, 3), (0, 1, 4), (0, 1, 5)}


def test_only_as_many_random_triplets_are_drawn_as_fill_the_batch(monkeypatch):
    """A bag of 7,200 images has thousands of positive pairs, a batch a few hundred images."""
    drawn = []

    def counted(*arguments):
        for triplet in random_triplets(*arguments):
            drawn.append(triplet)
            yield triplet

    monkeypatch.setattr(mining_module, "random_triplets", counted)
    random = np.random.RandomState(0)
    rows = choose_rows(random.randn(300, 8), np.arange(300) % 5, 30, "angle", 0.35, "facenet")
    assert len(rows) == 30 and 10 <= len(drawn) < 30


def test_the_hardest_rows_are_taken_and_the_batch_is_full():
    """Rows 4, 5 and 6 are a triplet that is violated; 0 to 3 are two people far apart from all."""
    directions = np.radians([0, 1, 120, 121, 240, 270, 235])
    embeddings = np.stack([np.cos(directions), np.sin(directions)], axis=1) * np.arange(1, 8)[:, None]
    labels = np.asarray([0, 0, 1, 1, 2, 2, 3])
    for mining in ("semi_hard", "batch_hard"):
        assert choose_rows(embeddings, labels, 3, "angle", 0.35, mining).tolist() == [4, 5, 6]
        assert choose_rows(embeddings, labels, 5, "squared", 0.2, mining).tolist() == [0, 1, 4, 5, 6]


@given(st.integers(0, 10**6), st.integers(1, 12))
def test_rows_are_distinct_and_as_many_as_asked_for(seed, size):
    random = np.random.RandomState(seed)
    rows = choose_rows(random.randn(12, 4), random.randint(0, 4, 12), size, "angle", 0.35, "semi_hard")
    assert len(set(rows.tolist())) == size


def test_a_bag_keeps_pixels_labels_and_records_together():
    import mxnet as mx

    random = np.random.RandomState(0)
    records = np.arange(100, 112)
    pixels = np.tile(records[:, None, None, None], (1, 3, 2, 2)).astype(np.float32)
    points = random.randn(200, 4)
    mine = BagMiner(lambda part: points[part.asnumpy()[:, 0, 0, 0].astype(int)], 4, "angle", 0.35, "batch_hard")
    batch = mine(Batch(mx.nd.array(pixels), records % 3, records))
    assert (batch.pixels.asnumpy()[:, 0, 0, 0] == batch.records).all() and (batch.labels == batch.records % 3).all()
    assert (
        batch.records.tolist()
        == records[choose_rows(points[records], records % 3, 4, "angle", 0.35, "batch_hard")].tolist()
    )
