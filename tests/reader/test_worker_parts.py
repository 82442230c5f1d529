"""Several workers' streams: together each image once an epoch, and each worker sees everybody in turn."""

from __future__ import annotations

import numpy as np
import pytest

from arcface_mx.config import DataConfig
from arcface_mx.data.recordio.index import RecordIndex
from arcface_mx.reader.image_view import open_view
from arcface_mx.reader.native_reader import FaceStream, part_size
from arcface_mx.reader.record_reader import RecordReader
from arcface_mx.reader.samplers import PKSampler, RandomSampler
from arcface_mx.util.errors import UserError
from tests.conftest import TINY_PEOPLE, TINY_PHOTOS

IMAGES = TINY_PEOPLE * TINY_PHOTOS


def records(folder, worker, count, position=0, batch=1):
    config = DataConfig(data=folder, image_size=32, batch_size=batch, mirror=False)
    stream = FaceStream(open_view(folder), config, seed=3, position=position, threads=1, worker=worker)
    return np.concatenate([next(stream).records for _ in range(count // batch)])


@pytest.mark.parametrize("workers", [2, 3, 4])
def test_each_image_once_an_epoch(tiny_faces, workers):
    for epoch in range(2):
        found = []
        for rank in range(workers):
            before = sum(part_size(IMAGES, (rank + done) % workers, workers) for done in range(epoch))
            found.append(
                records(tiny_faces, (rank, workers), part_size(IMAGES, (rank + epoch) % workers, workers), before)
            )
        np.testing.assert_array_equal(np.sort(np.concatenate(found)), np.arange(1, IMAGES + 1))


def test_a_worker_sees_everybody_in_as_many_epochs_as_workers(tiny_faces):
    np.testing.assert_array_equal(np.sort(records(tiny_faces, (1, 3), IMAGES)), np.arange(1, IMAGES + 1))


@pytest.mark.parametrize("position", [1, 17, 18, 40, 73])
def test_a_stream_goes_on_from_any_position(tiny_faces, position):
    whole = records(tiny_faces, (1, 2), 90)
    np.testing.assert_array_equal(records(tiny_faces, (1, 2), 90 - position, position), whole[position:])


def test_one_worker_reads_as_without_workers(tiny_faces):
    config = DataConfig(data=tiny_faces, image_size=32, batch_size=5, mirror=False)
    plain = FaceStream(open_view(tiny_faces), config, seed=3)
    np.testing.assert_array_equal(
        np.concatenate([next(plain).records for _ in range(8)]), records(tiny_faces, (0, 1), 40, batch=5)
    )


@pytest.mark.parametrize("tuples", [True, False])
def test_photo_streams_of_two_workers_are_that_of_one_with_the_joint_batch(tiny_faces, tuples):
    index = RecordIndex.open(tiny_faces)
    order = PKSampler(index, 2, seed=5) if tuples else RandomSampler(len(index), seed=5)

    def stream(batch, worker):
        config = DataConfig(data=tiny_faces, image_size=32, batch_size=batch)
        return RecordReader(open_view(tiny_faces), index, order, config, 0, 1, worker)

    joint, parts = stream(8, (0, 1)), [stream(4, (rank, 2)) for rank in range(2)]
    for _ in range(6):
        whole, halves = next(joint), [next(part) for part in parts]
        np.testing.assert_array_equal(whole.records, np.concatenate([half.records for half in halves]))
        np.testing.assert_array_equal(
            whole.pixels.asnumpy(), np.concatenate([half.pixels.asnumpy() for half in halves])
        )
    for each in (joint, *parts):
        each.close()


def test_too_few_images_for_the_workers(tiny_faces):
    with pytest.raises(UserError, match="too few for 36 workers"):
        records(tiny_faces, (0, 36), 1)
