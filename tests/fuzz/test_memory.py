"""Reading a large file takes less memory than twice its size. Each reader is measured in its own process."""

from __future__ import annotations

import os
import subprocess
import sys

import cv2
import numpy as np
import pytest

from arcface_mx.data.bins.write import write_pairs
from arcface_mx.data.recordio.writer import RecordWriter

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# A small file is read first, so that imports do not count.
MEASURE = """
import sys
import arcface_mx.symbols
from arcface_mx.data.bins.read import read_pairs
from arcface_mx.data.recordio.index import RecordIndex
from arcface_mx.model.load import read_parameters
from arcface_mx.train import checkpoint

def status(name):
    with open("/proc/self/status") as stream:
        return next(int(line.split()[1]) * 1024 for line in stream if line.startswith(name + ":"))

def bins(path):
    pairs = read_pairs(path)
    return pairs, sum(len(image) for image in pairs.images())

def records(path):
    index = RecordIndex.open(path)
    return index, sum(len(image) for _, _, image in index.images())

read = {"bin": bins, "rec": records, "params": read_parameters, "checkpoint": checkpoint.load}[sys.argv[1]]
read(sys.argv[2])
with open("/proc/self/clear_refs", "w") as stream:
    stream.write("5")  # resets the peak
before = status("VmRSS")
result = read(sys.argv[3])
print(status("VmHWM") - before)
"""


def images(count, random):
    noise = [
        cv2.imencode(".png", random.randint(0, 256, (112, 112, 3), np.uint8))[1].tobytes() for _ in range(20)
    ]  # 38 kB each
    for number in range(count):
        yield noise[number % len(noise)] + b"%d" % number  # no two are the same


def make(kind, folder, megabytes):
    """Write a file of about that size. Returns the path to read and the path whose size counts."""
    random, count = np.random.RandomState(0), 28 * megabytes
    path = os.path.join(folder, f"{kind}-{megabytes}")
    if kind == "bin":
        write_pairs(path, images(count, random), [True, False] * (count // 4))
        return path, path
    if kind == "rec":
        with RecordWriter(path) as writer:
            for number, image in enumerate(images(count, random)):
                writer.add(number * 2 // count, image)
        return path, os.path.join(path, "train.rec")
    import mxnet as mx

    from arcface_mx.train import checkpoint
    from arcface_mx.train.state import RunState

    arrays = {f"w{number}": mx.nd.ones((64, 2048)) for number in range(2 * megabytes)}
    if kind == "params":
        mx.nd.save(path, {"arg:" + name: array for name, array in arrays.items()})
        return path, path
    state = RunState(1, arrays, {}, {}, {})
    folder = checkpoint.save(path, state, keep=1)
    return folder, os.path.join(folder, checkpoint.ARRAYS)


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/proc/self/clear_refs"), reason="peak memory is read from Linux's /proc")
@pytest.mark.parametrize("kind", ["bin", "rec", "params", "checkpoint"])
def test_reading_takes_less_than_twice_the_file(kind, tmp_path):
    small, _ = make(kind, str(tmp_path), 1)
    large, counted = make(kind, str(tmp_path), 48)
    size = os.path.getsize(counted)
    assert size > 40 << 20
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", MEASURE, kind, small, large], cwd=ROOT, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    taken = int(result.stdout)
    assert 0 <= taken < 2 * size, f"{taken / size:.2f} times the file"
