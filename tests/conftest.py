"""Fixtures of all tests: a tiny face set, a tiny verification set, and files beside the checkout."""

from __future__ import annotations

import os
import signal

import numpy as np
import pytest
from hypothesis import settings

import arcface_mx  # noqa: F401  (prepares the process before anything imports mxnet)
from arcface_mx.data.recordio.writer import RecordWriter

settings.register_profile("arcface", deadline=None, derandomize=True, max_examples=20)
settings.load_profile("arcface")

TINY_IDENTITIES, TINY_IMAGES, TINY_SIDE = 5, 7, 32


def tiny_image(identity: int, number: int) -> bytes:
    """A PNG with a coloured pattern that depends on the identity, and noise that depends on the number too."""
    import cv2

    colours = np.random.RandomState(identity).randint(40, 215, (4, 4, 3)).astype(np.float32)
    noise = np.random.RandomState(1000 + 100 * identity + number).normal(0, 12, (TINY_SIDE, TINY_SIDE, 3))
    pixels = np.kron(colours, np.ones((8, 8, 1), np.float32)) + noise
    return cv2.imencode(".png", np.clip(pixels, 0, 255).astype(np.uint8))[1].tobytes()


def write_tiny_faces(folder):
    with RecordWriter(folder, TINY_SIDE, TINY_SIDE) as writer:
        for identity in range(TINY_IDENTITIES):
            for number in range(TINY_IMAGES):
                writer.add(identity, tiny_image(identity, number))
    return folder


@pytest.fixture(scope="session")
def tiny_faces(tmp_path_factory):
    """A face set of 5 identities with 7 images of 32×32 pixels. Tests must not change it."""
    return write_tiny_faces(str(tmp_path_factory.mktemp("tiny") / "faces"))


def write_tiny_pairs(path):
    from arcface_mx.data.bins.write import write_pairs

    images, same = [], []
    for pair in range(40):
        first, second = 100 + pair % 8, 100 + (pair % 8 if pair % 2 else (pair + 1) % 8)
        images += [tiny_image(first, pair), tiny_image(second, 50 + pair)]
        same.append(bool(pair % 2))
    write_pairs(path, images, same)
    return path


@pytest.fixture(scope="session")
def tiny_pairs(tmp_path_factory):
    """A verification set of 40 pairs, of identities that are not in `tiny_faces`."""
    return write_tiny_pairs(str(tmp_path_factory.mktemp("tiny") / "tiny.bin"))


def shared_path(name: str) -> str:
    """Path of a development file beside the checkout. Without it the test is skipped with a reason."""
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    root = os.environ.get("ARCFACE_SHARED", os.path.join(here, os.pardir, "shared"))
    path = os.path.join(root, name)
    if not os.path.exists(path):
        pytest.skip(f"development data {path} is not there (set ARCFACE_SHARED)")
    return path


@pytest.fixture
def hangup_is_heard():
    """SIGHUP as in a terminal, also where nohup has started the tests."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture
def restored_threads():
    """Whatever number of threads a test sets, the next one computes with the number from before."""
    import mxnet as mx

    from arcface_mx.util import environment, threads

    before, written = threads.num_threads(), list(environment._written)
    yield
    threads.set_threads(before, [mx.cpu(), mx.cpu(1)])
    threads._decided[:], environment._written[:] = [], written


@pytest.fixture
def two_cores(restored_threads, monkeypatch):
    """A machine with two cores, whose user has given no number of threads. Timing takes two calls a number."""
    from arcface_mx.train import threads as of_runs
    from arcface_mx.util import environment, threads

    monkeypatch.setattr(environment, "GIVEN_THREADS", "")
    monkeypatch.setattr(environment, "_written", [os.environ.get("OMP_NUM_THREADS", "")])
    for module in (threads, of_runs):
        monkeypatch.setattr(module, "available_cores", lambda: 2)
    monkeypatch.setattr(threads, "SECONDS", 0.0)
    monkeypatch.setattr(threads, "_decided", [])
