"""The plan agrees with MXNet's own allocation, with the paper's machine and with published measurements."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import mxnet as mx
import numpy as np
import pytest

from arcface_mx.cli import main
from arcface_mx.config import find_loss, from_flat
from arcface_mx.losses import ArcFace
from arcface_mx.parallel.classifier import SplitClassifier
from arcface_mx.parallel.communicator import Communicator
from arcface_mx.planning import plan
from arcface_mx.planning.cards import find_card
from arcface_mx.planning.gpu_memory import ESTIMATES
from arcface_mx.planning.memory_estimate import planned_bytes
from arcface_mx.planning.plan import check_memory, check_whole_arrays, make_plan
from arcface_mx.planning.scaling import scaling
from arcface_mx.planning.workload import Workload
from arcface_mx.presets import preset_values
from arcface_mx.train.resolve import resolve
from arcface_mx.train.worker import join
from arcface_mx.util.errors import UserError
from tests.support.training import tiny

SMALL = {"network": "iresnet18", "width": 0.07, "image_size": 32}
UNLIMITED = 1 << 40  # bytes


def gpus(count):
    return ",".join(f"gpu({number})" for number in range(count))


def workload(**values):
    return Workload.of(from_flat(values))


@pytest.mark.parametrize(
    "values, published",
    [({}, 19_600), ({"parallel": "centres"}, 5_600), ({"parallel": "centres", "sample_rate": 0.1}, 900)],
    ids=["data", "centres", "sampled"],
)
def test_bytes_per_class_are_near_those_published_for_arcface_torch(values, published):
    """The slope from 125k to 1M classes, with 8 devices, batch 8×128 and d = 512 as in the published table.

    The other framework has more buffers (for gradients, in its allocator), so the plan may be lower. It adds
    gradients with NCCL, in place; so the buffers in which MXNet's store adds them on one GPU are left out.
    """
    settings = {"batch_size": 1024, "devices": gpus(8), "network": "iresnet18", "image_size": 32, "kvstore": "local"}
    case = workload(**dict(settings, **values))
    few, many = (make_plan(case, classes, UNLIMITED).total for classes in (125_000, 1_000_000))
    assert 0.5 * published < (many - few) / 875_000 < 1.05 * published


def test_a_million_identities_fit_on_the_papers_machine_if_split_by_class():
    """The machine has 8 GPUs of 11 GB; the network is ResNet50, and the batch 8×64."""
    values = {"batch_size": 512, "devices": gpus(8)}
    assert make_plan(workload(**values, parallel="centres"), 1_000_000, 11_000_000_000).fits
    assert not make_plan(workload(**values), 1_000_000, 11_000_000_000).fits


def test_the_store_adds_the_largest_array_on_one_gpu_with_a_buffer_for_each_device():
    settings = {**SMALL, "embedding_size": 512, "batch_size": 64, "devices": gpus(8)}
    parts = make_plan(workload(**settings), 1_000_000, UNLIMITED).parts
    assert parts["sums of gradients"] == 8 * 4 * 512 * 1_000_000  # 16 GB on one card
    split = make_plan(workload(**settings, parallel="centres"), 1_000_000, UNLIMITED).parts
    assert split["sums of gradients"] == 8 * 4 * 512 * 36 * 2 * 2  # its largest array is the embedding layer's
    for values in ({"kvstore": "local"}, {"devices": "gpu(0)"}):
        assert "sums of gradients" not in make_plan(workload(**{**settings, **values}), 1000, UNLIMITED).parts


def test_only_gpus_need_a_workspace_and_only_a_run_with_sets_verifies():
    def parts(**values):
        return set(make_plan(workload(**SMALL, **values), 1000, UNLIMITED).parts)

    assert parts(devices="gpu(0)") - parts(devices="cpu") == set(ESTIMATES)
    assert parts(devices="gpu(0)", eval=("lfw.bin",)) - parts(devices="gpu(0)") == {"verification"}


def published_limit(images):
    """The plan of InsightFace's ResNet100 with 85,742 identities on a V100 of 16 GB.

    Its layers are those of the published graph. Ours stores one more array for each PReLU, because MXNet
    computes a wrong gradient of the slopes without it (`model/trainable.py`).
    """
    case = workload(network="iresnet100", batch_size=images, devices="gpu(0)")
    plan = make_plan(case, 85_742, int(find_card("v100").memory * 1e9))
    shape = case.backbone.input_shape
    layers = planned_bytes(case.backbone.symbol(), ["data"], data=(images, *shape)) + 4 * images * int(np.prod(shape))
    return replace(plan, parts={**plan.parts, "activations": layers})


@pytest.mark.slow
def test_the_published_limit_of_a_v100_fits_and_a_larger_batch_does_not():
    """DLPerf (MxNet/InsightFace/PartailFC) says that 112 images fit on one machine, and no larger batch of it.

    In the same tables 104 is the largest batch with several machines. So the plan may be wrong by one step of
    8 images, 0.9 GB, either way: 112 fit and 120 do not. It says so with 0.2 GB to spare at 112, which is less
    than what is known of cuDNN's workspace (0 to 1.1 GB) and of the CUDA context (0.5 to 1 GB).
    """
    assert published_limit(104).fits and published_limit(112).fits
    assert not published_limit(120).fits
    assert published_limit(120).may_fit and not published_limit(136).may_fit


@pytest.mark.slow
def test_our_graph_takes_more_than_the_published_one():
    memory = int(find_card("v100").memory * 1e9)
    fits = [
        images
        for images in (88, 96, 104, 112)
        if make_plan(workload(network="iresnet100", batch_size=images, devices="gpu(0)"), 85_742, memory).fits
    ]
    assert fits == [88, 96]


def allocated(shard):
    """Bytes of a device's classifier: its arrays, its momentum, and what MXNet allocates for the graph."""
    parameters = list(shard.parameters.values())
    arrays = [*parameters, *shard.gradients.values(), *parameters]  # the momentum is as large as the parameters
    megabytes = int(re.findall(r"Total (\d+) MB allocated", shard.executor.debug_str())[-1])
    return sum(4 * int(np.prod(array.shape)) for array in arrays) + (megabytes << 20)


@pytest.fixture(scope="module")
def allocations():
    """Bytes of each device, by number of devices."""
    loss, classes, batch_shape = find_loss("arcface")(), 120_000, (32, 128)
    sizes = {}
    for devices in (1, 2, 4):
        contexts = [mx.cpu(device) for device in range(devices)]
        classifier = SplitClassifier(loss, classes, contexts, Communicator(), batch_shape, {"": "write"}, 1.0)
        sizes[devices] = [allocated(shard) for shard in classifier.shards]
    return sizes


def test_memory_of_a_device_falls_as_one_over_the_devices(allocations):
    for devices in (2, 4):
        for size in allocations[devices]:
            assert size == pytest.approx(allocations[1][0] / devices, rel=0.1)


@pytest.mark.parametrize("devices", [1, 2, 4])
def test_the_plan_is_what_is_allocated(allocations, devices):
    values = dict(SMALL, batch_size=32, embedding_size=128, parallel="centres", devices=gpus(devices))
    parts = make_plan(workload(**values), 120_000, UNLIMITED).parts
    planned = sum(size for name, size in parts.items() if "centres" in name)
    assert planned == pytest.approx(max(allocations[devices]), rel=0.05)


def test_planning_needs_no_memory():
    def resident():
        with open("/proc/self/statm") as stream:
            return int(stream.read().split()[1]) * 4096

    case = workload(network="iresnet50", parallel="centres", devices=gpus(2))
    make_plan(case, 1000, UNLIMITED)
    before = resident()
    assert make_plan(case, 4_000_000, UNLIMITED).total > 16e9
    assert resident() - before < 64 << 20


def test_half_precision_halves_activations_and_gradients_and_adds_float32_weights():
    parts = {
        dtype: make_plan(workload(batch_size=64, devices="gpu(0)", dtype=dtype), 1000, UNLIMITED).parts
        for dtype in ("float32", "float16")
    }
    single, half = parts["float32"], parts["float16"]
    assert 0.45 < half["activations"] / single["activations"] < 0.65
    assert half["backbone gradients"] == pytest.approx(0.5 * single["backbone gradients"], rel=0.01)
    assert half["backbone momentum"] == half["backbone weights in float32"] == single["backbone weights"]
    assert half["centres"] == single["centres"]


def test_centres_beyond_one_array_are_refused():
    case = workload(embedding_size=512, batch_size=256)
    check_whole_arrays(case, 4_194_303)
    with pytest.raises(UserError, match="at most 4194303 classes"):
        check_whole_arrays(case, 4_194_304)


@pytest.mark.parametrize(
    "values, limit",
    [({}, 4_194_304), ({"parallel": "centres"}, 4_194_304), ({"parallel": "centres", "sample_rate": 0.5}, 8_388_608)],
)
def test_logits_beyond_one_array_are_refused(values, limit):
    case = workload(embedding_size=16, batch_size=1024, devices=gpus(2), **values)
    check_whole_arrays(case, limit - 8)
    with pytest.raises(UserError, match="the logits on a device"):
        check_whole_arrays(case, limit)


def test_a_table_of_sizes_binds_each_classifier_once(monkeypatch):
    bound = []
    monkeypatch.setattr(plan, "planned_bytes", lambda *a, **k: bound.append(1) or planned_bytes(*a, **k))
    plan._head_bytes.cache_clear()
    plan._backbone_bytes.cache_clear()
    scaling(workload(**SMALL, batch_size=16), find_card("v100").machine, (1000, 2000, 4000), (1, 2))
    # Two sizes of the backbone, and two of the classifier with the images of 1 and of 2 devices.
    assert len(bound) == 2 + 2 * 2


def test_a_loss_without_centres_is_planned_without_them():
    names = set(make_plan(workload(**SMALL, loss="triplet", devices="gpu(0),gpu(1)"), 1_000_000, UNLIMITED).parts)
    assert {"backbone weights", "activations", "sums of gradients"} < names
    assert not any("centres" in name for name in names)


def test_the_graph_of_init_is_planned_as_the_network_that_it_is():
    known = workload(**SMALL, devices="gpu(0)")
    given = replace(known, backbone=replace(known.backbone, graph=known.backbone.symbol()))
    assert make_plan(given, 1000, UNLIMITED).parts == make_plan(known, 1000, UNLIMITED).parts


class FakeGpu:
    """Eight GPUs with some free memory."""

    def __init__(self, monkeypatch, free):
        monkeypatch.setattr(mx.context, "num_gpus", lambda: 8)
        monkeypatch.setattr(mx.context, "gpu_memory_info", lambda number: (free - number, 80e9))


def test_a_run_that_does_not_fit_into_the_free_memory_of_a_gpu_is_refused(monkeypatch):
    case = workload(**SMALL, batch_size=64, devices="gpu(2)")
    least = make_plan(case, 1000, UNLIMITED).least
    FakeGpu(monkeypatch, least + 2)
    check_memory(case, 1000)
    assert not make_plan(case, 1000).fits  # what is estimated decides about no refusal
    FakeGpu(monkeypatch, least + 1)
    with pytest.raises(UserError, match="needs .* GB on each device, and one has .* try a smaller `batch_size`"):
        check_memory(case, 1000)


def test_training_plans_its_store_and_its_verification(tmp_path, tiny_faces, tiny_pairs, monkeypatch):
    seen = []
    monkeypatch.setattr("arcface_mx.train.resolve.check_memory", lambda workload, classes: seen.append(workload))
    for values in ({"kvstore": "local", "eval": (tiny_pairs,)}, {}):
        resolve(tiny(tmp_path, tiny_faces, **values), join("device"))
    assert [(case.kvstore, case.evaluates) for case in seen] == [("local", True), ("device", False)]


def test_a_run_that_cannot_fit_is_refused_before_it_starts(monkeypatch):
    monkeypatch.setattr(plan, "_machine_memory", lambda: 24_000_000_000)
    case = workload(**SMALL, embedding_size=512, batch_size=64, parallel="centres")
    check_memory(case, 1_000_000)
    with pytest.raises(UserError, match="needs .* GB on each device"):
        check_memory(case, 4_000_000)


def test_layers_that_cannot_fit_into_the_free_memory_are_refused(monkeypatch):
    """The paper's settings on a laptop: its classifier is small, and its layers take 45 GB."""
    monkeypatch.setattr(plan, "available_memory", lambda: 22_000_000_000)
    monkeypatch.setattr(plan, "_machine_memory", lambda: 64_000_000_000)
    with pytest.raises(UserError, match=r"20 classes: needs 4\d\.\d GB on each device, and one has 22\.0 GB"):
        check_memory(Workload.of(from_flat({})), 20)
    check_memory(Workload.of(from_flat({"batch_size": 128})), 20)


def test_a_small_run_is_not_planned(monkeypatch):
    monkeypatch.setattr(plan, "available_memory", lambda: 8_000_000_000)
    monkeypatch.setattr(plan, "make_plan", None)  # cannot be called
    check_memory(Workload.of(from_flat(preset_values("laptop", ArcFace))), 1000)


class TestCommand:
    SMALL = ("--network", "iresnet18", "--image-size", "32")

    def test_it_prints_the_parts_and_that_they_fit(self, tmp_path, capsys):
        file = str(tmp_path / "plan.json")
        flags = [*self.SMALL, "--devices", "cpu(0),cpu(1)", "--parallel", "centres", "--json", file]
        assert main(["plan", "--classes", "10572", *flags]) == 0
        with open(file, encoding="utf-8") as stream:
            written = json.load(stream)
        assert written["bytes"]["centres"] == 10572 // 2 * 512 * 4
        assert written["total"] == sum(written["bytes"].values())
        shown = capsys.readouterr().out
        for part in ("backbone weights", "activations", "centres' momentum", "logits"):
            assert part in shown
        assert "on each of 2 devices" in shown and "it fits" in shown

    def test_a_run_that_does_not_fit_ends_with_1_and_names_the_flag(self, capsys):
        flags = [*self.SMALL, "--devices", gpus(8), "--memory", "11"]
        assert main(["plan", "--classes", "2000000", *flags]) == 1
        assert "try --parallel centres" in capsys.readouterr().out

    def test_devices_of_another_machine_need_their_memory(self, capsys):
        devices = "gpu(98),gpu(99)"  # more than any machine has
        assert main(["plan", "--classes", "1000", "--network", "iresnet18", "--devices", devices]) == 0
        assert "give --memory" in capsys.readouterr().out

    @pytest.mark.parametrize("flags", [[], ["--classes", "0"], ["--scaling", "--loss", "triplet"]])
    def test_a_mistake_is_one_line(self, flags, capsys):
        assert main(["plan", *flags]) == 2
        assert capsys.readouterr().err.count("\n") == 1
