"""Whole runs on GPUs end, resume and are used, and launch no kernel that is known to be wrong or slow."""

from __future__ import annotations

import mxnet as mx
import numpy as np
import pytest

from arcface_mx.cli import main
from arcface_mx.losses import LOSSES
from arcface_mx.train import guards
from arcface_mx.train.run import train
from arcface_mx.util.cuda import fusion_works
from tests.conftest import tiny_image
from tests.gpu.conftest import refuse
from tests.support.training import final, interrupt_after, tiny

ONE, TWO = "gpu(0)", "gpu(0),gpu(1)"
TUPLES = {"images_per_identity": 4, "batch_size": 16}
SPLIT = {"parallel": "centres"}
LOSS_CASES = [
    {"loss": name, **(TUPLES if kind().needs_tuples else {}), **parallel}
    for name, kind in LOSSES.items()
    for parallel in ({}, SPLIT)
    if kind().centres_per_class or not parallel
]
OTHER_CASES = [
    {"margin_ramp": 0.5, "accumulate": 2, "skip_bad_batches": 2},
    {"margin_ramp": 0.5, "accumulate": 2, **SPLIT},
    {"intra_weight": 1.0, "inter_weight": 1.0},
    {"intra_weight": 1.0, "inter_weight": 1.0, **SPLIT},
    {"triplet_weight": 1.0, **TUPLES},
    {"triplet_weight": 1.0, **TUPLES, **SPLIT},
    {"sample_rate": 0.4, "batch_size": 2, **SPLIT},
    {"loss": "triplet", "bag": 2, **TUPLES},
    {"freeze_batchnorm": True, "freeze": ("^conv0_",), "lr_mult": ("stage2.*weight=0.5",)},
    {"dtype": "float16"},
    {"dtype": "float16", **SPLIT},
    {"network": "mobilefacenet", "image_size": 112},
    {"network": "gluoncv:resnet18_v1b", "image_size": 112, "width": 1.0, "dropout": 0.4},
    {"kvstore": "local", "deterministic": True},
]


@pytest.mark.parametrize("devices", [ONE, TWO])
@pytest.mark.parametrize("values", LOSS_CASES + OTHER_CASES, ids=str)
def test_a_run_ends(tmp_path, tiny_faces, tiny_pairs, recorder, values, devices):
    settings = {"steps": 3, "dropout": 0.4, "devices": devices, "log_every": 1, **values}
    if settings.get("image_size", 32) == 32:
        settings.update(eval=(tiny_pairs,), eval_every=2)
    assert train(tiny(tmp_path, tiny_faces, **settings))["step"] == 3
    counts = recorder.counts()
    refuse(counts)
    assert any("convolution 3x3 backward filter" in name for name in counts)
    assert ("copy between devices" in counts) == (devices == TWO)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_nccl_adds_the_gradients_of_two_gpus(tmp_path, tiny_faces, recorder, dtype):
    assert mx.runtime.Features().is_enabled("NCCL")
    train(tiny(tmp_path, tiny_faces, steps=2, devices=TWO, kvstore="nccl", dtype=dtype))
    counts = recorder.counts()
    refuse(counts)
    trained = len(final(tiny(tmp_path, tiny_faces)).momentum)
    assert counts["ncclReduce"] == counts["ncclBcast"] == 2 * 2 * trained  # steps and devices
    assert "copy between devices" not in counts


@pytest.mark.parametrize("values", [{}, SPLIT, {"dtype": "float16"}, {"sample_rate": 0.4, "batch_size": 2, **SPLIT}])
def test_a_run_resumes_on_other_devices(tmp_path, tiny_faces, monkeypatch, values):
    places = [ONE, TWO, "gpu(1)"] if "dtype" in values else ["cpu", ONE, TWO, "cpu"]
    for devices in places:
        with monkeypatch.context() as patch:
            config = tiny(tmp_path, tiny_faces, devices=devices, **values)
            if devices == places[-1] and final_step(config) > 2:
                assert train(config)["step"] == 12
                continue
            interrupt_after(patch, 2)
            with pytest.raises(KeyboardInterrupt):
                train(config)


def test_a_halved_loss_scale_is_continued(tmp_path, tiny_faces, monkeypatch, recorder):
    """Gradients are zeros here, so the check of their sum is told to find an overflow."""
    values = {"dtype": "float16", "devices": TWO, "dropout": 0.4, "steps": 6, "checkpoint_every": 1}
    config, real, count = tiny(tmp_path, tiny_faces, **values), guards.all_finite, []

    def all_finite(arrays, sums):
        assert real(arrays, sums)  # reads one number a device
        if arrays and {array.dtype for array in arrays} > {np.float16}:
            count.append(1)
            return len(count) not in (2, 3)
        return True

    monkeypatch.setattr(guards, "all_finite", all_finite)
    with monkeypatch.context() as patch:
        interrupt_after(patch, 4)
        with pytest.raises(KeyboardInterrupt):
            train(config)
    assert final(config).loss_scale == {"scale": 32.0, "good_steps": 1, "overflows": 2}
    train(config)
    assert final(config).loss_scale == {"scale": 32.0, "good_steps": 3, "overflows": 2}
    refuse(recorder.counts())


def final_step(config):
    state = final(config)
    return state.step if state else 0


def test_a_trained_model_is_used_on_a_gpu(tmp_path, tiny_faces, tiny_pairs):
    config = tiny(tmp_path, tiny_faces, steps=2, devices=ONE)
    train(config)
    run = config.run.run
    assert main(["verify", run, tiny_pairs, "--devices", TWO]) == 0
    images = tmp_path / "images"
    images.mkdir()
    for number in range(5):
        (images / f"{number}.png").write_bytes(tiny_image(number, 0))
    assert main(["embed", run, str(images), str(tmp_path / "embedded.npz"), "--devices", ONE]) == 0
    assert main(["export", run, "--out", str(tmp_path / "exported")]) == 0
    again = tiny(tmp_path, tiny_faces, "again", network="init", init=run, steps=2, devices=TWO)
    assert train(again)["step"] == 2


def test_the_recorder_sees_what_a_run_must_not_launch(recorder):
    x, slope = mx.nd.ones((2, 4, 8, 8), mx.gpu(0)), mx.nd.ones((4, 1, 1, 1), mx.gpu(0))
    for forbidden in (
        lambda: mx.nd.argmax(x, axis=1),
        lambda: mx.nd.Convolution(x, slope, num_filter=4, num_group=4, kernel=(1, 1), no_bias=True),
        lambda: mx.nd.Dropout(x, mode="always"),
        lambda: gradient_of_take(slope),
    ):
        recorder.reset()
        forbidden().wait_to_read()
        mx.nd.waitall()
        print(recorder.counts())
        with pytest.raises(AssertionError):
            refuse(recorder.counts())


def gradient_of_take(weight):
    weight.attach_grad()
    with mx.autograd.record():
        rows = mx.nd.take(weight, mx.nd.zeros(2, mx.gpu(0)))
    rows.backward()
    return weight.grad


def test_fusion_works_with_a_compiler_that_knows_the_card():
    assert fusion_works()
