"""What all tests share: the platform prepared before mxnet, one tiny face set, the shared files."""

from __future__ import annotations

import os

import numpy as np
import pytest
from hypothesis import settings

import arcface_mx  # noqa: F401  (prepares the platform before anything imports mxnet)
from arcface_mx.data.recordio.writer import RecordWriter

settings.register_profile("arcface", deadline=None, derandomize=True, max_examples=20)
settings.load_profile("arcface")

TINY_PEOPLE, TINY_PHOTOS, TINY_SIDE = 5, 7, 32


def tiny_photo(person: int, photo: int) -> bytes:
    """A coloured pattern that differs by person, with noise that differs by photo; PNG."""
    import cv2

    colours = np.random.RandomState(person).randint(40, 215, (4, 4, 3)).astype(np.float32)
    noise = np.random.RandomState(1000 + 100 * person + photo).normal(0, 12, (TINY_SIDE, TINY_SIDE, 3))
    pixels = np.kron(colours, np.ones((8, 8, 1), np.float32)) + noise
    return cv2.imencode(".png", np.clip(pixels, 0, 255).astype(np.uint8))[1].tobytes()


def write_tiny_faces(folder):
    with RecordWriter(folder, TINY_SIDE, TINY_SIDE) as writer:
        for person in range(TINY_PEOPLE):
            for photo in range(TINY_PHOTOS):
                writer.add(person, tiny_photo(person, photo))
    return folder


@pytest.fixture(scope="session")
def tiny_faces(tmp_path_factory):
    """A face set folder: 5 people × 7 photos of 32×32. Not to be changed by tests."""
    return write_tiny_faces(str(tmp_path_factory.mktemp("tiny") / "faces"))


def write_tiny_pairs(path):
    from arcface_mx.data.bins.write import write_pairs

    images, same = [], []
    for pair in range(40):
        first, second = 100 + pair % 8, 100 + (pair % 8 if pair % 2 else (pair + 1) % 8)
        images += [tiny_photo(first, pair), tiny_photo(second, 50 + pair)]
        same.append(bool(pair % 2))
    write_pairs(path, images, same)
    return path


@pytest.fixture(scope="session")
def tiny_pairs(tmp_path_factory):
    """A verification set of 40 pairs of people outside `tiny_faces`."""
    return write_tiny_pairs(str(tmp_path_factory.mktemp("tiny") / "tiny.bin"))


def shared_path(name: str) -> str:
    """A file of the development data beside the checkout; the test skips, saying so, without it."""
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    root = os.environ.get("ARCFACE_SHARED", os.path.join(here, os.pardir, "shared"))
    path = os.path.join(root, name)
    if not os.path.exists(path):
        pytest.skip(f"development data {path} is not there (set ARCFACE_SHARED)")
    return path
