"""`data clean` lists planted label errors, and applies a list as it was edited."""

from __future__ import annotations

import os

import numpy as np
import pytest

from arcface_mx.data.bins.write import write_pairs
from arcface_mx.data.check.clean_list import Entry, apply_list, read_list, write_list
from arcface_mx.data.recordio.index import RecordIndex
from arcface_mx.data.recordio.writer import RecordWriter
from arcface_mx.faces.clean import CleanOptions, find_label_errors
from arcface_mx.util.errors import UserError
from tests.support.embeddings import clusters, units
from tests.support.face_sets import jpeg, read_bytes, write_bytes, write_set


def colour_embedding(images):
    """A stand-in for a network: an image's bytes choose its direction; see `planted`."""
    return np.stack([DIRECTIONS[image] for image in images])


DIRECTIONS = {}


@pytest.fixture
def planted(tmp_path):
    """6 identities × 5 images: record 3 shows identity 4, 5 repeats 2, and 3 is in test.bin."""
    vectors, _ = clusters(6, 5, 25, seed=3)
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
    strangers, _ = clusters(40, 1, 0, seed=9)
    DIRECTIONS.update(zip(others, strangers))
    DIRECTIONS[others[7]] = vectors[16]
    write_pairs(str(tmp_path / "test.bin"), others, [True, False] * 10)
    return RecordIndex.open(folder), str(tmp_path / "test.bin")


def test_planted_faults_are_listed(planted):
    index, verification_set = planted
    entries = find_label_errors(index, colour_embedding, [verification_set], CleanOptions(far=60, near=30, overlap=40))
    assert [entry[:4] for entry in entries] == [
        ("image", 3, 0, "leave out"),
        ("identity", 5, 5, "merge into 2"),
        ("identity", 3, 3, "leave out"),
    ]
    assert entries[2].why.endswith("from image 7 of test.bin")


def test_list_is_applied_as_edited(planted, tmp_path):
    index, verification_set = planted
    path = str(tmp_path / "list.csv")
    write_list(path, index, find_label_errors(index, colour_embedding, [verification_set], CleanOptions(60, 30, 40)))
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
        find_label_errors(index, colour_embedding, [], CleanOptions())
    with pytest.raises(UserError, match="`near` must be between"):
        find_label_errors(index, colour_embedding, [], CleanOptions(near=0))
