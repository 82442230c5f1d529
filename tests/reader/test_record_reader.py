"""P×K batches: K photos a person, fewer where there are fewer, in an order that can be sought. (Random order: test_stream.py)"""

from __future__ import annotations

import os
from collections import Counter

import numpy as np
import pytest

from arcface_mx.config import DataConfig
from arcface_mx.data.recordio.index import RecordIndex
from arcface_mx.data.recordio.writer import RecordWriter
from arcface_mx.reader.image_view import open_view
from arcface_mx.reader.record_reader import RecordReader
from arcface_mx.reader.samplers import PKSampler
from arcface_mx.util.errors import UserError
from tests.conftest import TINY_PHOTOS, tiny_photo


def stream(folder, batch_size=6, photos=3, position=0, seed=0):
    config = DataConfig(data=folder, image_size=32, batch_size=batch_size, images_per_identity=photos)
    index = RecordIndex.open(folder)
    return RecordReader(open_view(folder), index, PKSampler(index, photos, seed), config, position, threads=2)


@pytest.fixture(scope="module")
def uneven(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("uneven") / "faces")
    with RecordWriter(folder, 32, 32) as writer:
        for person, photos in enumerate((5, 1, 3, 2)):
            for photo in range(photos):
                writer.add(person, tiny_photo(person, photo))
    return folder


def test_batches_hold_k_photos_of_each_person(tiny_faces):
    source = stream(tiny_faces)
    for _ in range(10):
        batch = next(source)
        assert set(Counter(batch.labels.tolist()).values()) <= {3, 6}
        for label in set(batch.labels.tolist()):
            own = batch.records[batch.labels == label]
            assert len(set(own.tolist())) >= 3


def test_every_photo_is_seen_equally_often(tiny_faces):
    source = stream(tiny_faces, batch_size=5 * 3, photos=3)  # a round a batch
    rounds = 2 * TINY_PHOTOS
    seen = Counter(record for _ in range(rounds) for record in next(source).records.tolist())
    assert len(seen) == 5 * TINY_PHOTOS and set(seen.values()) == {2 * 3}


def test_people_with_few_photos_bring_all_they_have(uneven):
    source = stream(uneven, batch_size=9, photos=3)
    for _ in range(6):
        assert Counter(next(source).labels.tolist()) == {0: 3, 1: 1, 2: 3, 3: 2}
    assert "1 people with a single photo" in source.order.describe()


def test_a_file_that_changes_under_the_stream_is_named(tmp_path):
    folder = str(tmp_path / "faces")
    with RecordWriter(folder, 32, 32) as writer:
        for person in range(2):
            writer.add(person, tiny_photo(person, 0))
    source = stream(folder, batch_size=2, photos=1)
    next(source)
    path = os.path.join(folder, "train.rec")
    with open(path, "r+b") as records:
        start = records.read().index(b"\x89PNG")
        records.seek(start)
        records.write(bytes(200))
    with pytest.raises(UserError, match="train.rec: record 1 is no longer the image it was"):
        for _ in range(5):
            next(source)


def test_a_stream_from_a_position_equals_the_rest_of_an_unbroken_one(tiny_faces):
    unbroken = stream(tiny_faces)
    whole = [next(unbroken) for _ in range(9)]
    resumed = stream(tiny_faces, position=5 * 6)
    for expected in whole[5:]:
        batch = next(resumed)
        np.testing.assert_array_equal(batch.records, expected.records)
        np.testing.assert_array_equal(batch.pixels.asnumpy(), expected.pixels.asnumpy())
