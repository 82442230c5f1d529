"""The sample stream: exactly once an epoch, a function of (seed, position), true pixels and labels."""

from __future__ import annotations

import os
import shutil

import cv2
import numpy as np
import pytest

from arcface_mx.config import DataConfig
from arcface_mx.data.recordio.index import RecordIndex
from arcface_mx.data.recordio.writer import RecordWriter
from arcface_mx.reader.image_view import join_numbers, open_view, split_number
from arcface_mx.reader.native_reader import FaceStream
from arcface_mx.reader.record_reader import RecordReader
from arcface_mx.reader.samplers import RandomSampler
from arcface_mx.util.errors import UserError
from tests.conftest import tiny_photo


@pytest.fixture
def view(tiny_faces):
    return open_view(tiny_faces)


@pytest.fixture(params=["mxnet", "opencv"])
def stream(request, tiny_faces):
    """Opens a stream over `view` by either reader."""

    def open_stream(view, batch_size=8, seed=0, position=0, threads=0, **augmentation):
        augmentation.setdefault("mirror", False)
        config = DataConfig(batch_size=batch_size, image_size=32, reader=request.param, **augmentation)
        if request.param == "mxnet":
            return FaceStream(view, config, seed, position, threads)
        index = RecordIndex.open(tiny_faces)
        return RecordReader(view, index, RandomSampler(len(index), seed), config, position, threads or 2)

    return open_stream


def take(source, batches):
    return [(batch.pixels.asnumpy(), batch.labels, batch.records) for batch in (next(source) for _ in range(batches))]


@pytest.mark.parametrize("batch_size", [1, 4, 7, 8, 35, 50])
def test_each_image_comes_once_an_epoch(stream, view, batch_size):
    epochs = 4
    batches = take(stream(view, batch_size), -(-epochs * view.images // batch_size))
    records = np.concatenate([records for _, _, records in batches])
    for epoch in range(epochs):
        seen = records[epoch * view.images : (epoch + 1) * view.images]
        assert sorted(seen) == list(range(1, view.images + 1))


def test_epochs_and_seeds_have_different_orders(stream, view):
    first, second = (take(stream(view, view.images), 2)[epoch][2] for epoch in range(2))
    other = take(stream(view, view.images, seed=1), 1)[0][2]
    assert not np.array_equal(first, second) and not np.array_equal(first, other)


def test_pixels_and_labels_are_those_of_the_record(stream, view, tiny_faces):
    index = RecordIndex.open(tiny_faces)
    for pixels, labels, records in take(stream(view, 8), 10):
        for row, label, record in zip(pixels, labels, records):
            _, true_label, image = next(index.images(np.flatnonzero(index.numbers == int(record))))
            expected = cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]
            assert label == true_label
            np.testing.assert_array_equal(row, expected.transpose(2, 0, 1))


def test_a_stream_from_a_position_equals_the_rest_of_an_unbroken_one(stream, view):
    augmentation = {"mirror": True, "shift": 3, "rotate": 10, "jitter": 0.2}
    unbroken = take(stream(view, 8, **augmentation), 12)
    for start in (1, 4, 5, 11):
        resumed = take(stream(view, 8, position=8 * start, **augmentation), 12 - start)
        for one, two in zip(unbroken[start:], resumed):
            for a, b in zip(one, two):
                np.testing.assert_array_equal(a, b)


def test_order_and_pixels_do_not_depend_on_threads(stream, view):
    for one, two in zip(take(stream(view, threads=1, mirror=True), 10), take(stream(view, threads=4, mirror=True), 10)):
        np.testing.assert_array_equal(one[2], two[2])
        np.testing.assert_array_equal(one[0], two[0])


def test_mirror_turns_about_half_of_the_images_and_not_always_the_same(stream, view):
    plain = {int(r): p for pixels, _, records in take(stream(view, 35), 1) for p, r in zip(pixels, records)}
    turned = []
    for pixels, _, records in take(stream(view, 35, mirror=True), 8):
        is_turned = {int(r): np.array_equal(p, plain[int(r)][:, :, ::-1]) for p, r in zip(pixels, records)}
        assert all(is_turned[r] or np.array_equal(p, plain[r]) for r, p in zip(map(int, records), pixels))
        turned.append([is_turned[r] for r in sorted(is_turned)])
    assert 0.35 < np.mean(turned) < 0.65
    assert np.std(np.mean(turned, axis=0)) < 0.4  # a coin thrown once a photo would give 0.5


def test_numbers_beyond_float32_survive_the_label():
    for value in (0, 1, (1 << 20) - 1, 1 << 20, (1 << 24) + 1, 93_431_527):
        parts = np.asarray([split_number(value)], np.float32)
        assert join_numbers(parts)[0] == value


def test_view_is_reused_and_made_anew_when_the_records_change(tmp_path, tiny_faces):
    folder = str(tmp_path / "faces")
    shutil.copytree(tiny_faces, folder)
    for name in os.listdir(folder):
        if name.startswith("images-only"):
            os.unlink(os.path.join(folder, name))
    first = open_view(folder)
    stamp = os.stat(first.record_file).st_mtime_ns
    assert open_view(folder) == first and os.stat(first.record_file).st_mtime_ns == stamp
    for name in ("train.rec", "train.idx", "property"):
        os.unlink(os.path.join(folder, name))
    with RecordWriter(folder, 32, 32) as writer:
        for person in range(3):
            writer.add(person, tiny_photo(person + 50, 0))
    second = open_view(folder)
    assert (second.images, second.num_classes) == (3, 3)
    assert second.fingerprint != first.fingerprint


def test_view_goes_to_the_cache_when_the_folder_is_read_only(tmp_path, tiny_faces, monkeypatch):
    folder = str(tmp_path / "faces")
    os.mkdir(folder)
    for name in ("train.rec", "train.idx", "property"):
        shutil.copy(os.path.join(tiny_faces, name), folder)
    real = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: path != folder and real(path, mode))  # root may write anywhere
    view = open_view(folder, cache=str(tmp_path / "cache"))
    assert view.record_file.startswith(str(tmp_path / "cache"))
    assert sorted(os.listdir(folder)) == ["property", "train.idx", "train.rec"]


@pytest.mark.parametrize("image, words", [(b"not an image", "record 2"), (tiny_photo(0, 0)[:-900], "record 2")])
def test_an_image_that_cannot_be_decoded_is_named(tmp_path, image, words):
    folder = str(tmp_path / "faces")
    with RecordWriter(folder, 32, 32) as writer:
        writer.add(0, tiny_photo(0, 0))
        writer.add(1, image)
    with pytest.raises(UserError, match=words):
        open_view(folder)
    assert sorted(os.listdir(folder)) == ["property", "train.idx", "train.rec"]


def test_images_of_two_sizes_are_refused(tmp_path):
    folder = str(tmp_path / "faces")
    small = cv2.imencode(".png", np.zeros((16, 16, 3), np.uint8))[1].tobytes()
    with RecordWriter(folder, 32, 32) as writer:
        writer.add(0, tiny_photo(0, 0))
        writer.add(1, small)
    with pytest.raises(UserError, match="record 2 is 16×16"):
        open_view(folder)
