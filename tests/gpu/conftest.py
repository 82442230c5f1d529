"""Tests of GPU runs. They need an MXNet for GPUs; `tests/gpu/run.sh` runs them without a GPU."""

from __future__ import annotations

import ctypes
import os
from collections import Counter

import pytest

LIBRARY = os.environ.get("ARCFACE_FAKE_CUDA", "")


def pytest_collection_modifyitems(items):
    for item in items:
        if "tests/gpu" in str(item.path):
            item.add_marker(pytest.mark.gpu)
            if not LIBRARY:
                item.add_marker(pytest.mark.skip(reason="the stand-in for CUDA is not loaded: use tests/gpu/run.sh"))


class Recorder:
    """Counts of the functions and kernels that libmxnet.so has called since the last `reset`."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(LIBRARY)
        self._library.fake_cuda_counts.restype = ctypes.c_char_p

    def reset(self) -> None:
        self._library.fake_cuda_reset()

    def counts(self) -> Counter:
        lines = self._library.fake_cuda_counts().decode().splitlines()
        pairs = (line.split(" ", 1) for line in lines)
        return Counter({name: int(count) for count, name in pairs})


def refuse(counts):
    """Fail if a kernel was launched that no run on a GPU may launch."""
    # A grouped 1×1 convolution is the PReLU for CPUs, and an arg reduction is `argmax` over classes.
    assert not [name for name in counts if "grouped 1x1" in name or "ReduceWithAxis" in name]
    # The gradient of `take` lacks a barrier between samples.
    assert not [name for name in counts if "AddTakeGrad" in name]
    # The seed does not reach cuDNN's dropout.
    assert not [name for name in counts if name.startswith("cudnnDropout")]


@pytest.fixture
def steps(recorder, monkeypatch):
    """The counts from the start of the test to the end of each step of a run."""
    import mxnet as mx

    from arcface_mx.train import log

    counts = []

    def step(self):
        mx.nd.waitall()
        counts.append(recorder.counts())

    monkeypatch.setattr(log.RunLog, "step", step)
    return counts


@pytest.fixture
def recorder():
    """What the stand-in counts, from the start of the test."""
    recorder = Recorder()
    recorder.reset()
    return recorder
