"""`clean` finds planted faults in synthetic embeddings, and applies a list as it was edited."""

from __future__ import annotations

import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arcface_mx.data.bins.write import write_pairs
from arcface_mx.data.check.clean_list import Entry, apply_list, read_list, write_list
from arcface_mx.data.recordio.index import RecordIndex
from arcface_mx.data.recordio.writer import RecordWriter
from arcface_mx.faces.clean import CleanOptions, find_faults
from arcface_mx.metrics import label_errors as clean_module
from arcface_mx.metrics.label_errors import far_photos, identity_centres, near_centres, overlap, units
from arcface_mx.util.errors import UserError
from tests.support.face_sets import jpeg, read_bytes, write_bytes, write_set


def faces(people, photos, spread, seed=0, d=64):
    """Unit embeddings: `photos` of each of `people`, about `spread` degrees from their person's direction."""
    random = np.random.RandomState(seed)
    centres = units(random.normal(size=(people, d)))
    noise = units(random.normal(size=(people * photos, d)))
    noise -= (noise * np.repeat(centres, photos, 0)).sum(1, keepdims=True) * np.repeat(centres, photos, 0)
    angle = np.radians(spread)
    return units(np.cos(angle) * np.repeat(centres, photos, 0) + np.sin(angle) * units(noise)), np.repeat(
        np.arange(people), photos
    )


@settings(derandomize=True, deadline=None, max_examples=10)
@given(seed=st.integers(0, 1000), wrong=st.integers(0, 3))
def test_exactly_the_strangers_are_far(seed, wrong):
    vectors, labels = faces(20, 10, 40, seed)
    strangers = np.arange(wrong) + 50  # photos of person 5…
    truth = labels.copy()
    labels[strangers] = 11
    far, angles, centres = far_photos(vectors, labels, 20, 60)
    assert np.flatnonzero(far).tolist() == strangers.tolist()
    np.testing.assert_allclose(
        centres.vectors, identity_centres(vectors, labels, 20, labels == truth).vectors, atol=1e-5
    )
    assert centres.photos.tolist() == np.bincount(labels[labels == truth], minlength=20).tolist()


def test_angles_are_those_of_a_plain_loop():
    vectors, labels = faces(7, 5, 50)
    _, angles, centres = far_photos(vectors, labels, 7, 180)
    for k, label in enumerate(labels):
        mean = vectors[labels == label].astype(np.float64).mean(0)
        cosine = vectors[k] @ mean / np.linalg.norm(mean)
        np.testing.assert_allclose(angles[k], np.degrees(np.arccos(cosine)), atol=1e-3)


def test_strangers_do_not_pull_the_centre():
    vectors, labels = faces(2, 10, 30)
    labels[10:14] = 0  # four photos of person 1
    far, angles, _ = far_photos(vectors, labels, 2, 55)
    assert np.flatnonzero(far).tolist() == [10, 11, 12, 13]
    own = units(vectors[:10].sum(0, keepdims=True))[0]
    np.testing.assert_allclose(angles[:14], np.degrees(np.arccos(vectors[:14] @ own)), atol=1e-3)


def test_identity_without_a_centre_is_far_as_a_whole():
    vectors, labels = faces(10, 1, 0)
    labels[:] = 0  # ten strangers under one name
    far, _, _ = far_photos(vectors, labels, 1, 45)
    assert far.all()


@pytest.mark.parametrize("block", [1, 3, 2048])
def test_near_centres_and_overlap_against_plain_loops(monkeypatch, block):
    monkeypatch.setattr(clean_module, "BLOCK", block)
    vectors, labels = faces(12, 4, 30)
    vectors[8:12] = vectors[40:44]  # persons 2 and 10 are one
    centres = identity_centres(vectors, labels, 12)
    matches = near_centres(centres, 80)
    angle = np.degrees(np.arccos(np.clip(centres.vectors.astype(float) @ centres.vectors.T, -1, 1)))
    expected = {(i, j) for i in range(12) for j in range(i + 1, 12) if angle[i, j] < 80}
    assert {(m.first, m.second) for m in matches} == expected and (matches[0].first, matches[0].second) == (2, 10)
    others = vectors[[5, 22, 23]]
    found = overlap(centres, others, 50)
    angle = np.degrees(np.arccos(np.clip(centres.vectors.astype(float) @ others.T, -1, 1)))
    assert {(m.first, m.second) for m in found} == {
        (i, int(angle[i].argmin())) for i in range(12) if angle[i].min() < 50
    }
    assert {m.first for m in found} == {1, 5}


# From a set to the list, and from the list to a set


def colour_embedding(images):
    """A stand-in for a network: an image's bytes choose its direction; see `planted`."""
    return np.stack([DIRECTIONS[image] for image in images])


DIRECTIONS = {}


@pytest.fixture
def planted(tmp_path):
    """6 people × 5 photos; record 3 is person 4's; 5 is 2's double; 3 is in the test set."""
    vectors, _ = faces(6, 5, 25, seed=3)
    vectors[25:] = units(vectors[10:15] + 0.05)
    vectors[2] = vectors[21]
    images = [jpeg(k) for k in range(30)]
    DIRECTIONS.clear()
    DIRECTIONS.update(zip(images, vectors * 7))
    folder = str(tmp_path / "faces")
    with RecordWriter(folder) as writer:
        for k, image in enumerate(images):
            writer.add(k // 5, image)
    others = [jpeg(100 + k) for k in range(40)]
    strangers, _ = faces(40, 1, 0, seed=9)
    DIRECTIONS.update(zip(others, strangers))
    DIRECTIONS[others[7]] = vectors[16]
    write_pairs(str(tmp_path / "test.bin"), others, [True, False] * 10)
    return RecordIndex.open(folder), str(tmp_path / "test.bin")


def test_planted_faults_are_listed(planted):
    index, test_set = planted
    entries = find_faults(index, colour_embedding, [test_set], CleanOptions(far=60, near=30, overlap=40))
    assert [entry[:4] for entry in entries] == [
        ("image", 3, 0, "leave out"),
        ("identity", 5, 5, "merge into 2"),
        ("identity", 3, 3, "leave out"),
    ]
    assert entries[2].why.endswith("from image 7 of test.bin")


def test_list_is_applied_as_edited(planted, tmp_path):
    index, test_set = planted
    path = str(tmp_path / "list.csv")
    write_list(path, index, find_faults(index, colour_embedding, [test_set], CleanOptions(60, 30, 40)))
    summary = apply_list(index, read_list(path, index), str(tmp_path / "all"))
    assert (summary["images"], summary["identities"], len(summary["left_out"])) == (24, 4, 6)
    cleaned = RecordIndex.open(str(tmp_path / "all"))
    assert np.bincount(cleaned.labels).tolist() == [4, 5, 10, 5]
    text = read_bytes(path).decode()
    write_bytes(
        path, text.replace("merge into 2", "keep").replace("identity,3,3,leave out", "identity,3,3,keep").encode()
    )
    summary = apply_list(index, read_list(path, index), str(tmp_path / "one"))
    assert (summary["images"], summary["identities"]) == (29, 6) and summary["left_out"][0]["record"] == 3


def test_chains_of_merges_become_one_identity(tmp_path):
    write_set(str(tmp_path / "faces"), (2, 2, 2, 2))
    index = RecordIndex.open(str(tmp_path / "faces"))
    entries = [Entry("identity", 3, 3, "merge into 2", ""), Entry("identity", 2, 2, "merge into 0", "")]
    apply_list(index, entries, str(tmp_path / "clean"))
    assert np.bincount(RecordIndex.open(str(tmp_path / "clean")).labels).tolist() == [6, 2]


@pytest.mark.parametrize(
    "line",
    [
        "image,3,0,remove,x",
        "image,99,0,leave out,x",
        "image,3,0,merge into 1,x",
        "identity,77,0,leave out,x",
        "identity,1,1,merge into 88,x",
        "thing,1,1,leave out,x",
        "image,3",
        "image,-3,0,leave out,x",
    ],
)
def test_lists_that_are_not_understood(planted, tmp_path, line):
    index, _ = planted
    path = str(tmp_path / "list.csv")
    write_list(path, index, [])
    write_bytes(path, read_bytes(path) + line.encode() + b"\n")
    with pytest.raises(UserError, match="line 3"):
        read_list(path, index)


def test_list_of_another_set_is_refused(planted, tmp_path):
    index, _ = planted
    write_set(str(tmp_path / "other"))
    write_list(str(tmp_path / "list.csv"), RecordIndex.open(str(tmp_path / "other")), [])
    with pytest.raises(UserError, match="made for another set"):
        read_list(str(tmp_path / "list.csv"), index)


def test_nothing_left_and_broken_embeddings(planted, tmp_path):
    index, _ = planted
    entries = [Entry("identity", label, label, "leave out", "") for label in range(6)]
    with pytest.raises(UserError, match="no usable image"):
        apply_list(index, entries, str(tmp_path / "clean"))
    assert not os.path.exists(str(tmp_path / "clean"))
    DIRECTIONS[jpeg(4)] = np.full(64, np.nan)
    with pytest.raises(UserError, match="record 5: its embedding"):
        find_faults(index, colour_embedding, [], CleanOptions())
    with pytest.raises(UserError, match="--near"):
        find_faults(index, colour_embedding, [], CleanOptions(near=0))
