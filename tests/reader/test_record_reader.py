"""The reader: each image once an epoch, a function of (seed, position), with true pixels and labels."""

from __future__ import annotations

import itertools
import os
from collections import Counter
from dataclasses import replace

import cv2
import numpy as np
import pytest

from arcface_mx.data.recordio.index import RecordIndex
from arcface_mx.data.recordio.writer import RecordWriter
from arcface_mx.reader.augment import Augmentation
from arcface_mx.reader.record_reader import RecordReader
from arcface_mx.reader.samplers import PKSampler, RandomSampler
from arcface_mx.util.errors import UserError
from tests.conftest import TINY_IMAGES, TINY_SIDE, tiny_image

PLAIN = Augmentation(TINY_SIDE, mirror=False)
VARIED = Augmentation(TINY_SIDE, mirror=True, shift=3, rotate=10, jitter=0.2)


@pytest.fixture(scope="module")
def index(tiny_faces):
    return RecordIndex.open(tiny_faces)


def reader(index, batch_size=8, seed=0, threads=2, part=(0, 1), augmentation=PLAIN, images_per_identity=0):
    sampler = PKSampler(index, images_per_identity, seed) if images_per_identity else RandomSampler(len(index), seed)
    return RecordReader(index, sampler, augmentation, batch_size, seed, threads, part)


def take(source, count, position=0):
    """Pixels, labels and records of the first batches from a position."""
    batches = itertools.islice(source.batches(position), count)
    return [(batch.pixels.asnumpy(), batch.labels, batch.records) for batch in batches]


def assert_equal_batches(one, two):
    assert len(one) == len(two)
    for first, second in zip(one, two):
        for a, b in zip(first, second):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("batch_size", [1, 4, 7, 8, 35, 50])
def test_each_image_comes_once_an_epoch(index, batch_size):
    epochs, images = 4, len(index)
    batches = take(reader(index, batch_size), -(-epochs * images // batch_size))
    records = np.concatenate([records for _, _, records in batches])
    for epoch in range(epochs):
        assert sorted(records[epoch * images : (epoch + 1) * images]) == list(range(1, images + 1))


def test_epochs_and_seeds_have_different_orders(index):
    first, second = (records for _, _, records in take(reader(index, len(index)), 2))
    other = take(reader(index, len(index), seed=1), 1)[0][2]
    assert not np.array_equal(first, second) and not np.array_equal(first, other)


def test_pixels_and_labels_are_those_of_the_record(index):
    stored = {number: (label, image) for number, label, image in index.images()}
    for pixels, labels, records in take(reader(index), 10):
        for row, label, record in zip(pixels, labels, records):
            true_label, image = stored[int(record)]
            expected = cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]
            assert label == true_label
            np.testing.assert_array_equal(row, expected.transpose(2, 0, 1))


@pytest.mark.parametrize("images_per_identity", [0, 2])
def test_reading_from_a_position_continues_an_unbroken_reading(index, images_per_identity):
    source = reader(index, augmentation=VARIED, images_per_identity=images_per_identity)
    unbroken = take(source, 12)
    for start in (1, 4, 5, 11):
        assert_equal_batches(take(source, 12 - start, position=8 * start), unbroken[start:])


def test_batches_do_not_depend_on_threads(index):
    one, four = (take(reader(index, threads=threads, augmentation=VARIED), 10) for threads in (1, 4))
    assert_equal_batches(one, four)


@pytest.mark.parametrize("images_per_identity", [0, 2])
@pytest.mark.parametrize("position", [0, 8, 24])
def test_two_workers_read_the_halves_of_the_joint_batch(index, images_per_identity, position):
    settings = {"augmentation": VARIED, "images_per_identity": images_per_identity}
    joint = take(reader(index, 8, **settings), 6, position)
    parts = [take(reader(index, 4, part=(rank, 2), **settings), 6, position) for rank in range(2)]
    halves = [tuple(np.concatenate(pair) for pair in zip(*both)) for both in zip(*parts)]
    assert_equal_batches(halves, joint)


def test_mirror_turns_about_half_of_the_images_and_not_always_the_same(index):
    plain = {int(r): p for pixels, _, records in take(reader(index, 35), 1) for p, r in zip(pixels, records)}
    turned = []
    for pixels, _, records in take(reader(index, 35, augmentation=replace(PLAIN, mirror=True)), 8):
        is_turned = {int(r): np.array_equal(p, plain[int(r)][:, :, ::-1]) for p, r in zip(pixels, records)}
        assert all(is_turned[r] or np.array_equal(p, plain[r]) for r, p in zip(map(int, records), pixels))
        turned.append([is_turned[r] for r in sorted(is_turned)])
    assert 0.35 < np.mean(turned) < 0.65
    assert np.std(np.mean(turned, axis=0)) < 0.4  # one coin an image for all epochs would give 0.5


def test_images_are_scaled_to_the_input(index):
    pixels, _, records = take(reader(index, 4, augmentation=Augmentation(24, mirror=False)), 1)[0]
    stored = {number: image for number, _, image in index.images()}
    for row, record in zip(pixels, records):
        image = cv2.imdecode(np.frombuffer(stored[int(record)], np.uint8), cv2.IMREAD_COLOR)
        expected = cv2.resize(image, (24, 24), interpolation=cv2.INTER_AREA)[:, :, ::-1]
        np.testing.assert_array_equal(row, expected.transpose(2, 0, 1))


def test_labels_beyond_float32_are_exact(index):
    """Labels come from the index as int64; float32 holds whole numbers up to 2**24 only."""
    large = replace(index, labels=index.labels + 93_431_527)
    for _, labels, records in take(reader(large), 3):
        np.testing.assert_array_equal(labels, index.labels[records - 1] + 93_431_527)


@pytest.fixture(scope="module")
def uneven(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("uneven") / "faces")
    with RecordWriter(folder, TINY_SIDE, TINY_SIDE) as writer:
        for identity, images in enumerate((5, 1, 3, 2)):
            for image in range(images):
                writer.add(identity, tiny_image(identity, image))
    return RecordIndex.open(folder)


def test_tuples_hold_k_images_of_each_identity(index):
    for _, labels, records in take(reader(index, 6, images_per_identity=3), 10):
        assert set(Counter(labels.tolist()).values()) <= {3, 6}
        for label in set(labels.tolist()):
            assert len(set(records[labels == label].tolist())) >= 3


def test_tuples_show_every_image_equally_often(index):
    rounds = 2 * TINY_IMAGES
    batches = take(reader(index, 5 * 3, images_per_identity=3), rounds)  # a round a batch
    seen = Counter(record for _, _, records in batches for record in records.tolist())
    assert len(seen) == 5 * TINY_IMAGES and set(seen.values()) == {2 * 3}


def test_identities_with_few_images_bring_all_they_have(uneven):
    source = reader(uneven, 9, images_per_identity=3)
    for _, labels, _ in take(source, 6):
        assert Counter(labels.tolist()) == {0: 3, 1: 1, 2: 3, 3: 2}
    assert "1 identities with a single image" in source.sampler.describe()


def write_faces(folder, *images):
    with RecordWriter(folder, TINY_SIDE, TINY_SIDE) as writer:
        for label, image in enumerate(images):
            writer.add(label, image)
    return RecordIndex.open(folder)


@pytest.mark.parametrize("image", [b"not an image", tiny_image(0, 0)[:-900]], ids=["text", "cut off"])
def test_an_image_that_cannot_be_decoded_is_named(tmp_path, image):
    faces = write_faces(str(tmp_path / "faces"), tiny_image(0, 0), image)
    with pytest.raises(UserError, match="train.rec: record 2 holds no image that can be decoded.*data check"):
        take(reader(faces, 2), 1)


def test_an_image_of_another_size_is_named(tmp_path):
    small = cv2.imencode(".png", np.zeros((16, 16, 3), np.uint8))[1].tobytes()
    faces = write_faces(str(tmp_path / "faces"), tiny_image(0, 0), small)
    with pytest.raises(UserError, match="record 2 is 16×16 pixels and must be 32×32"):
        take(reader(faces, 2), 1)


def test_a_file_that_changes_while_it_is_read_is_named(tmp_path):
    faces = write_faces(str(tmp_path / "faces"), tiny_image(0, 0), tiny_image(1, 0))
    batches = reader(faces, 2).batches()
    next(batches)
    with open(os.path.join(str(tmp_path / "faces"), "train.rec"), "r+b") as records:
        start = records.read().index(b"\x89PNG")
        records.seek(start)
        records.write(bytes(200))
    with pytest.raises(UserError, match="train.rec: record 1 holds no image"):
        for _ in range(5):
            next(batches)
