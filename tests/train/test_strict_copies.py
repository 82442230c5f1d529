"""Runs make no copy between devices that a GPU would refuse. `tests/gpu` runs the same on a GPU build of MXNet."""

from __future__ import annotations

import mxnet as mx
import pytest

from arcface_mx.train.run import train
from tests.support.strict_copies import refuse_casts
from tests.support.training import interrupt_after, tiny

DEVICES = "cpu(1),cpu(2)"  # batches are made on cpu(0), as for GPUs
CASES = [
    {},
    {"loss": "adaface"},
    {"margin_ramp": 0.5, "accumulate": 2, "skip_bad_batches": 1},
    {"loss": "triplet", "images_per_identity": 4, "batch_size": 16, "bag": 2},
    {"parallel": "centres", "intra_weight": 1.0, "inter_weight": 1.0},
    {"parallel": "centres", "sample_rate": 0.4, "batch_size": 2},
]


@pytest.mark.slow
@pytest.mark.parametrize("values", CASES, ids=str)
def test_a_run_and_its_resume_copy_no_other_type(tmp_path, tiny_faces, tiny_pairs, monkeypatch, values):
    refuse_casts(monkeypatch)
    settings = dict({"steps": 4, "eval": (tiny_pairs,), "eval_every": 2, "devices": DEVICES}, **values)
    with monkeypatch.context() as patch:
        interrupt_after(patch, 2)
        with pytest.raises(KeyboardInterrupt):
            train(tiny(tmp_path, tiny_faces, **settings))
    assert train(tiny(tmp_path, tiny_faces, **settings))["step"] == 4


def test_the_stand_in_refuses_what_a_gpu_refuses(monkeypatch):
    refuse_casts(monkeypatch)
    label, placed = mx.nd.array([1], dtype="int32"), mx.nd.zeros(1, ctx=mx.cpu(1))
    with pytest.raises(mx.MXNetError, match="int32 to float32"):
        label.copyto(placed)
    label.copyto(mx.nd.zeros(1))  # within a device every type is cast
