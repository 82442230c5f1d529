"""What one training step of IR-ResNet50 launches, and that the diagnosis sees every layer in spite of fusion."""

from __future__ import annotations

from collections import Counter

import mxnet as mx

from arcface_mx.config import find_loss
from arcface_mx.losses.graph import training_graph
from arcface_mx.model.backbone import make_backbone
from arcface_mx.train.diagnosis import first_bad_layer
from arcface_mx.train.run import train
from arcface_mx.util.mx_module import module_arrays
from tests.support.training import tiny, tiny_config

# Of one step on one GPU. They do not depend on the width, the image size and the number of classes.
LIMITS = {"kernel": 640, "convolution": 158, "update": 5, "wait": 64, "copy": 8}


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


def test_a_step_launches_no_more_than_it_did(tmp_path, tiny_faces, steps):
    settings = {"network": "iresnet50", "dropout": 0.4, "devices": "gpu(0)", "steps": 6}
    train(tiny(tmp_path, tiny_faces, log_every=100, checkpoint_every=100, **settings))
    one_step = kinds(steps[4] - steps[3])
    assert {kind: one_step[kind] for kind in LIMITS if one_step[kind] > LIMITS[kind]} == {}


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
