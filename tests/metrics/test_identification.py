"""Identification equals brute force over all scores, whatever the blocks."""

from __future__ import annotations

import json
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arcface_mx.metrics import identification
from arcface_mx.metrics.identification import TIE, identify
from arcface_mx.util.errors import UserError


def unit(rows):
    rows = rows.astype(np.float64)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def brute_force(gallery, gallery_ids, probes, probe_ids, distractors, ranks, levels):
    """Rates from the whole P×(G+D) matrix, probe by probe."""
    entries = unit(np.concatenate([gallery, distractors]))
    names = list(gallery_ids) + [None] * len(distractors)
    places, mates, alarms = [], [], []
    for probe, identity in zip(unit(probes), probe_ids):
        scores = [float(probe @ entry) for entry in entries]
        others = [score for score, name in zip(scores, names) if name != identity]
        if identity not in names:
            alarms.append(max(others))
            continue
        mate = scores[names.index(identity)]
        places.append(1 + sum(other >= mate - TIE for other in others))
        mates.append(mate)
    rank = {k: np.mean([place <= k for place in places]) for k in ranks}
    dirs = {}
    for far in levels:
        allowed = int(far * len(alarms) + 1e-9)
        if allowed < 1:
            dirs[far] = None
            continue
        # Every threshold that lets at most `allowed` alarms through; the best of them.
        candidates = [t for t in [-2.0] + alarms if sum(alarm > t + TIE for alarm in alarms) <= allowed]
        dirs[far] = max(
            np.mean([place == 1 and mate > t + TIE for place, mate in zip(places, mates)]) for t in candidates
        )
    return rank, dirs, len(alarms)


@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 20),
    st.integers(1, 60),
    st.integers(0, 40),
    st.integers(1, 9),
    st.integers(1, 9),
)
def test_rates_equal_brute_force(seed, identities, images, strangers, probe_block, gallery_block):
    random = np.random.RandomState(seed)
    centres = random.randn(identities + 5, 4)
    gallery = (centres[:identities] + 0.3 * random.randn(identities, 4)).astype(np.float32)
    owner = random.randint(0, identities + 5, images)
    owner[0] = 0
    probes = (centres[owner] * random.uniform(0.5, 2, (images, 1)) + 0.6 * random.randn(images, 4)).astype(np.float32)
    distractors = random.randn(strangers, 4).astype(np.float32)
    distractors[: strangers // 3] = gallery[0]  # ties with an entry
    ids = np.array([f"p{k:02d}" for k in range(identities + 5)])
    before, identification.BLOCK = identification.BLOCK, (probe_block, gallery_block)
    try:
        result = identify(gallery, ids[:identities], probes, ids[owner], distractors if strangers else None, (1, 2, 5))
    finally:
        identification.BLOCK = before
    rank, dirs, unknown = brute_force(
        gallery, ids[:identities], probes, ids[owner], distractors, (1, 2, 5), result.dir_at_far
    )
    assert result.rank == pytest.approx(rank)
    assert result.dir_at_far == pytest.approx(dirs)
    assert (result.known, result.unknown, result.gallery, result.distractors) == (
        images - unknown,
        unknown,
        identities,
        strangers,
    )
    json.dumps(result.to_json())


def test_a_copy_of_the_mate_under_another_name_costs_the_first_place():
    gallery = np.array([[1, 0], [1, 0], [0, 1]], np.float32)
    result = identify(gallery, ["a", "b", "c"], np.array([[1, 0.1]], np.float32), ["a"], ranks=(1, 2))
    assert result.rank == {1: 0.0, 2: 1.0}


def test_open_set_counts_alarms_of_unknown_probes():
    """Ten strangers score 0.0, 0.1 … 0.9; known probes 0.95, 0.85 and 0.5."""

    def at(cosine):
        return [cosine, (1 - cosine**2) ** 0.5]

    gallery = np.array([[1, 0]], np.float32)
    probes = np.array([at(k / 10) for k in range(10)] + [at(0.95), at(0.85), at(0.5)], np.float32)
    result = identify(gallery, ["a"], probes, ["x"] * 10 + ["a"] * 3)
    assert result.dir_at_far[1e-1] == pytest.approx(2 / 3)  # one alarm allowed, at 0.9
    assert result.dir_at_far[1e-2] is None


def test_a_known_probe_that_scores_as_the_alarm_not_allowed_is_not_accepted():
    gallery = np.array([[1, 0]], np.float32)
    probes = np.array([[1, 1]] * 2 + [[0, 1]] * 8 + [[1, 1], [2, 1]], np.float32)
    result = identify(gallery, ["a"], probes, ["x"] * 10 + ["a"] * 2)
    assert result.dir_at_far[1e-1] == 0.5


def test_bad_input():
    rows = np.eye(3, dtype=np.float32)
    cases = [
        ((rows, ["a", "a", "b"], rows, ["a"] * 3), "3 entries of 2 identities; average them to one an identity"),
        ((rows, ["a", "b"], rows, ["a"] * 3), "gallery: 3 embeddings for 2 ids"),
        ((rows, ["a", "b", "c"], rows, ["a"]), "probes: 3 embeddings for 1 ids"),
        ((rows, ["a", "b", "c"], rows, ["x"] * 3), "the gallery has no identity of the probes"),
        ((rows, ["a", "b", "c"], rows[:, :2], ["a"] * 3), "both must be \\(n, d\\)"),
        ((rows, ["a", "b", "c"], rows, ["a"] * 3, rows[:, :2]), "both must be \\(n, d\\)"),
        (
            (rows, ["a", "b", "c"], rows * np.nan, ["a"] * 3),
            "probes from row 0 on: the embedding of image 0 is not finite",
        ),
        ((rows, ["a", "b", "c"], rows, ["a"] * 3, 0 * rows), "distractors from row 0 on: .* zero vector"),
    ]
    for arguments, message in cases:
        with pytest.raises(UserError, match=message):
            identify(*arguments)


@pytest.mark.slow
def test_memory_stays_with_the_blocks():
    """4,000 probes against 40,000 entries of 64: the scores alone would be 640 MB."""
    random = np.random.RandomState(0)
    gallery, probes = random.randn(40000, 64).astype(np.float32), random.randn(4000, 64).astype(np.float32)
    tracemalloc.start()
    identify(gallery, np.arange(40000), probes, np.arange(4000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100e6
