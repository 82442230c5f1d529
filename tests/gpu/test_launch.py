"""Workers of one machine train on GPUs of their own, through MXNet's parameter server."""

from __future__ import annotations

import json
import os
import sys

import pytest

from tests.support.launching import finish
from tests.test_recipes import command_line

SMALL = ["--preset", "laptop", "--image-size", "32", "--batch-size", "8", "--steps", "3", "--lr-drops", "2"]


def launch(workers, training):
    return finish([sys.executable, "-m", "arcface_mx", "launch", "-n", str(workers), "--", "train", *training])


def devices_by_process(path):
    """Return the devices that each process has allocated memory of."""
    devices = {}
    for line in path.read_text().splitlines():
        process, device = line.split()
        devices.setdefault(process, set()).add(int(device))
    return list(devices.values())


@pytest.mark.parametrize(
    "recipe, flags, expected",
    [
        ("arcface_m0.50.sh", ["--devices", "gpu"], [{0}, {1}]),
        ("facenet_triplet.sh", ["--devices", "gpu"], [{0}, {1}]),
        ("arcface_m0.50.sh", ["--devices", "gpu(1)"], [{1}, {1}]),  # shared, because it is named
    ],
)
def test_each_worker_uses_its_own_gpu(tmp_path, tiny_faces, monkeypatch, recipe, flags, expected):
    log, run = tmp_path / "devices", str(tmp_path / "run")
    monkeypatch.setenv("FAKE_CUDA_LOG", str(log))
    training = [*SMALL, *command_line(recipe, "laptop"), "--data", tiny_faces, "--run", run, *flags]
    code, output = launch(2, training)
    assert code == 0, output
    assert sorted(devices_by_process(log), key=min) == expected
    with open(os.path.join(run, "metrics.json")) as stream:
        assert json.load(stream)["step"] == 3


def test_more_workers_than_gpus_are_refused_before_anything_starts(tmp_path, tiny_faces):
    code, output = launch(3, ["--data", tiny_faces, "--run", str(tmp_path / "run"), "--devices", "gpu"])
    assert code == 2
    assert output.startswith("arcface-mx: error: 3 workers need 3 GPUs, and MXNet sees 2 there.")
    assert output.count("\n") == 1 and not os.path.exists(tmp_path / "run")
