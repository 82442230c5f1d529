"""What one training step of IR-ResNet50 launches, and that the diagnosis sees every layer in spite of fusion."""

from __future__ import annotations

from collections import Counter

import mxnet as mx
import pytest

from arcface_mx.config import find_loss
from arcface_mx.losses.graph import training_graph
from arcface_mx.model.backbone import make_backbone
from arcface_mx.train.diagnosis import first_bad_layer
from arcface_mx.train.run import train
from arcface_mx.util.mx_module import module_arrays
from tests.gpu.conftest import refuse
from tests.support.training import tiny, tiny_config

# Of one step on one GPU. They do not depend on the width, the image size and the number of classes.
LIMITS = {"kernel": 640, "convolution": 158, "update": 5, "wait": 40, "copy": 8}
CASES = [
    ({"devices": "gpu(0)"}, LIMITS),
    # 158 more kernels copy BatchNorm's statistics, in one operation.
    ({"devices": "gpu(0)", "dtype": "float16"}, {**LIMITS, "kernel": 800, "copy": 9}),
    # Per GPU. Each of 239 gradients is copied to one card, added there and copied back.
    ({"devices": "gpu(0),gpu(1)"}, {**LIMITS, "kernel": 760, "wait": 640, "copy": 490}),
]
SEED, DROPOUT = "rand_generator_seed_kernel", "DropoutKernel"


def kinds(counts):
    """Counts by kind: all kernels, those of convolutions and of the update, waits for the device, and copies."""
    result = Counter()
    for name, count in counts.items():
        if name.startswith(("kernel ", "cudnnBatch", "cudnnActivation", "cublasSgemm", "cublasGemm")):
            result["kernel"] += count
        for kind, part in (("convolution", "kernel convolution"), ("update", "MultiSGD"), ("wait", "wait")):
            result[kind] += count * (part in name)
        result["copy"] += count * name.startswith("copy")
    return result


@pytest.mark.parametrize("values, limits", CASES, ids=str)
def test_a_step_launches_no_more_than_it_did(tmp_path, tiny_faces, steps, values, limits):
    settings = {"network": "iresnet50", "dropout": 0.4, "steps": 6, **values}
    train(tiny(tmp_path, tiny_faces, log_every=100, checkpoint_every=100, **settings))
    gpus = values["devices"].count("gpu")
    one_step = kinds(steps[4] - steps[3])
    assert {kind: one_step[kind] for kind in limits if one_step[kind] > gpus * limits[kind]} == {}


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("devices", ["gpu(0)", "gpu(0),gpu(1)"])
def test_dropout_is_seeded_anew_in_each_step(tmp_path, tiny_faces, steps, devices, dtype):
    train(tiny(tmp_path, tiny_faces, dropout=0.4, steps=5, devices=devices, dtype=dtype))
    for before, after in zip(steps, steps[1:]):
        step = after - before
        calls = {part: sum(count for name, count in step.items() if part in name) for part in (SEED, DROPOUT)}
        assert calls[DROPOUT] == devices.count("gpu") and calls[SEED] >= devices.count("gpu")
        refuse(step)
    assert len(steps) == 5


def test_the_diagnosis_sees_every_layer_by_its_name(recorder, monkeypatch):
    config = tiny_config(dropout=0.4)
    backbone = make_backbone(config.network, 32, devices="gpu(0)")
    graph = training_graph(backbone.symbol(training=True), find_loss("arcface")(), 5)
    module = mx.mod.Module(graph.symbol, ["data"], ["label"], context=[mx.gpu(0)])
    module.bind([("data", (4, 3, 32, 32))], [("label", (4,))])
    module.init_params()
    recorder.reset()
    module.forward(mx.io.DataBatch([mx.nd.ones((4, 3, 32, 32))], [mx.nd.zeros(4)]), is_train=True)
    mx.nd.waitall()
    assert any(name.startswith("kernel fused") for name in recorder.counts())

    recorder.reset()
    seen = []
    monkeypatch.setattr("arcface_mx.train.diagnosis._bad", lambda array: seen.append(array.shape) or False)
    assert first_bad_layer(module, lambda: None).startswith("not seen again")
    assert not any(name.startswith("kernel fused") for name in recorder.counts())
    arrays = module_arrays(module)
    layers = len(set(graph.symbol.get_internals().list_outputs()) - set(graph.symbol.list_inputs()))
    assert len(seen) >= layers + 2 * len(arrays.names) - 2  # gradients and parameters too
