"""The plan: held to MXNet's own allocation, to the paper's machine, and to published measurements."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from arcface_mx.cli import main
from arcface_mx.config import from_flat
from arcface_mx.planning import plan
from arcface_mx.planning.plan import Workload, check_whole_arrays, make_plan, refuse_what_cannot_fit
from arcface_mx.util.errors import UserError
from tests.support.modules import make_loss, prepared, split

SMALL = {"network": "iresnet18", "width": 0.07, "image_size": 32}


def workload(values):
    return Workload.of(from_flat(values))


def gpus(count):
    return ",".join(f"gpu({number})" for number in range(count))


def a_class(**values):
    """Bytes a class and device, slope from 125k to 1M classes: 8 devices, batch 8×128, d = 512, as in the published table."""
    config = workload(
        dict({"batch_size": 1024, "devices": gpus(8), "network": "iresnet18", "image_size": 32}, **values)
    )
    few, many = (make_plan(config, classes, 1 << 40).total for classes in (125_000, 1_000_000))
    return (many - few) / 875_000


@pytest.mark.parametrize(
    "values, published",
    [({}, 19_600), ({"parallel": "centres"}, 5_600), ({"parallel": "centres", "sample_rate": 0.1}, 900)],
    ids=["data", "centres", "sampled"],
)
def test_bytes_a_class_stand_beside_those_published_for_arcface_torch(values, published):
    """Another framework with buffers of its own (gradient buckets, a caching allocator): the same order, and not above it."""
    assert 0.5 * published < a_class(**values) < 1.05 * published


def test_a_million_people_on_the_papers_machine():
    """8 GPUs of 11 GB, ResNet50, batch 8×64: by class it fits, with a whole classifier on each it does not."""
    values = {"batch_size": 512, "devices": gpus(8)}
    assert make_plan(workload(dict(values, parallel="centres")), 1_000_000, 11_000_000_000).fits
    assert not make_plan(workload(values), 1_000_000, 11_000_000_000).fits


def allocated(shard):
    """Bytes of one device's classifier: its arrays, its optimizer's states, and what MXNet says it allocated for the graph."""
    arrays = [*shard.parameters.values(), *shard.gradients.values(), *shard.parameters.values()]  # once more: momentum
    megabytes = int(re.findall(r"Total (\d+) MB allocated", shard.executor.debug_str())[-1])
    return sum(4 * int(np.prod(array.shape)) for array in arrays) + (megabytes << 20)


@pytest.fixture(scope="module")
def shards():
    classes, images, width = 120_000, 32, 128
    return {
        devices: [
            allocated(shard)
            for shard in prepared(split(make_loss(), classes, width, devices), make_loss(), images).classifier.shards
        ]
        for devices in (1, 2, 4)
    }


def test_memory_of_a_device_falls_as_one_over_the_devices(shards):
    for devices in (2, 4):
        for held in shards[devices]:
            assert held == pytest.approx(shards[1][0] / devices, rel=0.1)


@pytest.mark.parametrize("devices", [1, 2, 4])
def test_the_plan_is_what_is_allocated(shards, devices):
    values = dict(SMALL, batch_size=32, embedding_size=128, parallel="centres", devices=gpus(devices))
    parts = make_plan(workload(values), 120_000, 1 << 40).parts
    planned = sum(size for what, size in parts.items() if "centres" in what)
    assert planned == pytest.approx(max(shards[devices]), rel=0.05)


def test_planning_touches_no_memory():
    def resident():
        with open("/proc/self/statm") as stream:
            return int(stream.read().split()[1]) * 4096

    config = workload({"network": "iresnet50", "parallel": "centres", "devices": gpus(2)})
    make_plan(config, 1000, 1 << 40)
    before = resident()
    assert make_plan(config, 4_000_000, 1 << 40).total > 16e9
    assert resident() - before < 64 << 20


def test_centres_beyond_one_array_are_refused():
    config = workload({"embedding_size": 512, "batch_size": 256})
    check_whole_arrays(config, 4_194_303)
    with pytest.raises(UserError, match="at most 4194303 classes"):
        check_whole_arrays(config, 4_194_304)


@pytest.mark.parametrize(
    "values, most",
    [({}, 4_194_304), ({"parallel": "centres"}, 4_194_304), ({"parallel": "centres", "sample_rate": 0.5}, 8_388_608)],
)
def test_logits_beyond_one_array_are_refused(values, most):
    config = workload(dict({"embedding_size": 16, "batch_size": 1024, "devices": gpus(2)}, **values))
    check_whole_arrays(config, most - 8)
    with pytest.raises(UserError, match="the logits on a device"):
        check_whole_arrays(config, most)


def test_a_run_that_cannot_fit_is_refused_before_it_starts(monkeypatch):
    monkeypatch.setattr(plan, "_machine_memory", lambda: 24_000_000_000)
    config = workload(dict(SMALL, embedding_size=512, batch_size=64, parallel="centres"))
    refuse_what_cannot_fit(config, 1_000_000)
    with pytest.raises(UserError, match="needs .* GB on each device"):
        refuse_what_cannot_fit(config, 4_000_000)


class TestCommand:
    def test_it_prints_the_parts_and_fits(self, tmp_path, capsys):
        file = str(tmp_path / "plan.json")
        flags = [
            "--network",
            "iresnet18",
            "--image-size",
            "32",
            "--devices",
            "cpu(0),cpu(1)",
            "--parallel",
            "centres",
            "--json",
            file,
        ]
        assert main(["plan", "--classes", "10572", *flags]) == 0
        shown = capsys.readouterr().out
        with open(file, encoding="utf-8") as stream:
            written = json.load(stream)
        assert written["bytes"]["centres"] == 10572 // 2 * 512 * 4 and written["total"] == sum(
            written["bytes"].values()
        )
        for what in (
            "backbone weights",
            "activations",
            "centres' momentum",
            "logits",
            "on each of 2 devices",
            "it fits",
        ):
            assert what in shown

    def test_what_does_not_fit_ends_with_1_and_names_the_flag(self, capsys):
        flags = ["--network", "iresnet18", "--image-size", "32", "--devices", gpus(8), "--memory", "11"]
        assert main(["plan", "--classes", "2000000", *flags]) == 1
        assert "try --parallel centres" in capsys.readouterr().out

    def test_devices_of_another_machine_need_their_memory(self, capsys):
        devices = "gpu(98),gpu(99)"  # more than any machine has
        assert main(["plan", "--classes", "1000", "--network", "iresnet18", "--devices", devices]) == 0
        assert "give --memory" in capsys.readouterr().out

    def test_mistakes(self, capsys):
        assert main(["plan"]) == 2
        assert main(["plan", "--classes", "0"]) == 2
        assert capsys.readouterr().err.count("\n") == 2
