"""Training as a whole: it learns, it is reproducible, it goes on where it stopped."""

from __future__ import annotations

import json
import os
import signal

import mxnet as mx
import numpy as np
import pytest

from arcface_mx.config import from_flat
from arcface_mx.native import library
from arcface_mx.train.run import train
from arcface_mx.util.errors import UserError
from tests.support.training import assert_same, events, final, interrupt_after, tiny, tiny_config

LOSSES = [
    {},
    {"loss": "softmax"},
    {"loss": "norm_softmax"},
    {"literal": True},
    {"margin_ramp": 0.5},
    {"loss": "a_softmax"},
    {"intra_weight": 1.0, "inter_weight": 1.0},
    {"loss": "norm_softmax", "intra_weight": 1.0, "inter_weight": 1.0},
    {"triplet_weight": 1.0, "images_per_identity": 4, "batch_size": 20},
    {"loss": "sub_centre", "sub_centres": 2},
    {"loss": "adaface"},
]
TUPLE_LOSSES = [
    {"loss": "triplet"},
    {"loss": "euclidean_triplet", "margin": 0.2},
    {"loss": "contrastive", "mining": "all"},
    {"loss": "triplet", "mining": "batch_hard", "bag": 2},
]


@pytest.mark.slow
@pytest.mark.parametrize("loss", LOSSES)
def test_loss_falls_and_accuracy_rises(tmp_path, tiny_faces, loss):
    config = tiny(tmp_path, tiny_faces, **dict({"steps": 60, "log_every": 10}, **loss))
    train(config)
    steps = events(config, "step")
    assert steps[-1]["loss"] < 0.7 * steps[0]["loss"]
    assert steps[-1]["accuracy"] > 0.6  # chance is 0.2
    assert steps[-1]["target_angle"] < steps[0]["target_angle"]


@pytest.mark.slow
@pytest.mark.parametrize("loss", TUPLE_LOSSES)
def test_losses_on_tuples_fall(tmp_path, tiny_faces, loss):
    config = tiny(tmp_path, tiny_faces, steps=60, log_every=10, batch_size=20, images_per_identity=4, **loss)
    train(config)
    steps = events(config, "step")
    assert steps[-1]["loss"] < 0.7 * steps[0]["loss"]


def test_tuples_are_asked_for(tmp_path, tiny_faces):
    with pytest.raises(UserError, match="`images_per_identity`"):
        train(tiny(tmp_path, tiny_faces, loss="triplet"))


def test_first_loss_is_as_announced(tmp_path, tiny_faces):
    config = tiny(tmp_path, tiny_faces, steps=1, log_every=1, embedding_size=512, batch_size=35)
    train(config)
    announced, measured = events(config, "start")[0]["expected_first_loss"], events(config, "step")[0]["loss"]
    assert measured == pytest.approx(announced, rel=0.15)


@pytest.mark.slow
def test_same_command_gives_the_same_bits(tmp_path, tiny_faces):
    runs = [tiny(tmp_path, tiny_faces, name, dropout=0.3, jitter=0.2) for name in ("one", "two")]
    for config in runs:
        train(config)
    assert_same(final(runs[0]), final(runs[1]))
    other = tiny(tmp_path, tiny_faces, "other", dropout=0.3, jitter=0.2, seed=1)
    train(other)
    with pytest.raises(AssertionError):
        assert_same(final(runs[0]), final(other))


RAMP = {"margin_ramp": 0.5}
MINED = {"loss": "triplet", "images_per_identity": 4, "bag": 2}


@pytest.mark.slow
@pytest.mark.parametrize("stop, values", [(3, RAMP), (4, RAMP), (9, RAMP), (7, MINED)])
def test_an_interrupted_run_ends_with_the_same_bits(tmp_path, tiny_faces, monkeypatch, stop, values):
    settings = dict({"dropout": 0.3}, **values)
    unbroken, broken = (tiny(tmp_path, tiny_faces, name, **settings) for name in ("unbroken", "broken"))
    train(unbroken)
    interrupt_after(monkeypatch, stop)
    with pytest.raises(KeyboardInterrupt):
        train(broken)
    monkeypatch.undo()
    assert final(broken).step == stop
    train(broken)
    assert_same(final(unbroken), final(broken))


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_within_an_update_waits_for_the_end_of_the_step(
    tmp_path, tiny_faces, monkeypatch, hangup_is_heard, number
):
    unbroken, broken = (tiny(tmp_path, tiny_faces, name) for name in ("unbroken", "broken"))
    train(unbroken)
    real, calls = mx.mod.Module.update, []

    def update(self):
        calls.append(1)
        if len(calls) == 5:
            os.kill(os.getpid(), number)
        real(self)

    with monkeypatch.context() as patch:
        patch.setattr(mx.mod.Module, "update", update)
        with pytest.raises(KeyboardInterrupt):
            train(broken)
    assert final(broken).step == 5
    train(broken)
    assert_same(final(unbroken), final(broken))


def test_two_devices_give_the_update_of_one(tmp_path, tiny_faces):
    frozen = {"freeze_batchnorm": True, "steps": 1}
    one = tiny(tmp_path, tiny_faces, "one", **frozen)
    two = tiny(tmp_path, tiny_faces, "two", devices="cpu(0),cpu(1)", **frozen)
    for config in (one, two):
        train(config)
    assert_same(final(one), final(two), 1e-6)


def test_accumulated_gradients_are_those_of_the_joint_batch(tmp_path, tiny_faces):
    # The order of photos does not depend on the batch; which of them are mirrored does.
    frozen = {"freeze_batchnorm": True, "steps": 1, "mirror": False, "head": "graph"}
    joint = tiny(tmp_path, tiny_faces, "joint", **frozen)
    parts = tiny(tmp_path, tiny_faces, "parts", **dict(frozen, batch_size=4, accumulate=2))
    for config in (joint, parts):
        train(config)
    assert_same(final(joint), final(parts), 1e-6)


def test_frozen_parameters_stay_and_slowed_ones_move_less(tmp_path, tiny_faces):
    base = tiny(tmp_path, tiny_faces, "base", steps=1, weight_decay=0.0)
    changed = tiny(
        tmp_path,
        tiny_faces,
        "changed",
        steps=1,
        weight_decay=0.0,
        freeze=("^conv0_", "stage1"),
        lr_mult=("stage2.*weight=0.5",),
    )
    start = tiny(tmp_path, tiny_faces, "start", steps=1, lr=0.0, weight_decay=0.0)
    for config in (base, changed, start):
        train(config)
    before, plain, after = (final(config).arg_params for config in (start, base, changed))
    for name in before:
        moved, expected = ((x[name] - before[name]).asnumpy() for x in (after, plain))
        if name.startswith("conv0_") or "stage1" in name:
            assert not moved.any(), name
        elif name.startswith("stage2") and "weight" in name:
            np.testing.assert_allclose(moved, 0.5 * expected, rtol=1e-3, atol=1e-7, err_msg=name)
        elif name == "fc7_weight":
            assert moved.any()


@pytest.mark.slow
@pytest.mark.parametrize("parallel", ["data", "centres"])
def test_decay_all_decays_biases_and_betas_too(tmp_path, tiny_faces, parallel):
    """Without momentum the second update differs by lr·wd·(value after the first) in biases and betas alone."""
    common = dict(loss="softmax", momentum=0.0, weight_decay=0.1, parallel=parallel)
    first, plain, decayed = (
        tiny(tmp_path, tiny_faces, name, steps=steps, **common, **changed)
        for name, steps, changed in (("one", 1, {}), ("two", 2, {}), ("all", 2, {"decay_all": True}))
    )
    for config in (first, plain, decayed):
        train(config)
    before, two, both = (final(config).arg_params for config in (first, plain, decayed))
    for name, array in both.items():
        free = name.endswith(("_bias", "_beta"))
        expected = two[name].asnumpy() - (0.05 * 0.1 * before[name].asnumpy() if free else 0.0)
        np.testing.assert_allclose(array.asnumpy(), expected, rtol=1e-5, atol=1e-8, err_msg=name)
    moved = {name.rsplit("_", 1)[1] for name in both if np.abs(both[name].asnumpy() - two[name].asnumpy()).max() > 1e-7}
    assert moved == {"bias", "beta"}


def test_init_takes_a_runs_weights(tmp_path, tiny_faces):
    source = tiny(tmp_path, tiny_faces, "source")
    train(source)
    tuned = tiny(tmp_path, tiny_faces, "tuned", init=source.run.run, steps=1, lr=0.0, freeze_batchnorm=True)
    train(tuned)
    before, after = final(source), final(tuned)
    for name, array in before.arg_params.items():
        if name not in ("fc7_weight", "fc1_gamma"):  # new; held at 1 by its BatchNorm
            np.testing.assert_array_equal(array.asnumpy(), after.arg_params[name].asnumpy(), err_msg=name)
    assert "created anew: class centres" in events(tuned, "start")[0]["source"]


def test_statistics_in_the_export_are_those_of_the_last_step(tmp_path, tiny_faces):
    config = tiny(tmp_path, tiny_faces)
    train(config)
    stored = mx.nd.load(os.path.join(config.run.run, "model-0000.params"))
    state = final(config)
    for name, array in state.aux_params.items():
        np.testing.assert_array_equal(array.asnumpy(), stored["aux:" + name].asnumpy())


class TestBadInput:
    def test_another_configuration_in_the_run_folder(self, tmp_path, tiny_faces):
        train(tiny(tmp_path, tiny_faces, steps=1))
        before = sorted(os.listdir(str(tmp_path / "run")))
        with pytest.raises(UserError, match="`scale` was 16.0, now 32.0"):
            train(tiny(tmp_path, tiny_faces, steps=1, scale=32.0))
        assert sorted(os.listdir(str(tmp_path / "run"))) == before

    def test_a_folder_that_is_no_run(self, tmp_path, tiny_faces):
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "thesis.txt").write_text("mine")
        with pytest.raises(UserError, match="not a run folder"):
            train(tiny(tmp_path, tiny_faces))
        assert os.listdir(str(tmp_path / "run")) == ["thesis.txt"]

    @pytest.mark.parametrize(
        "values, words",
        [
            ({"data": "/nowhere"}, "/nowhere"),
            ({"devices": "gpu(99)"}, r"no gpu\(99\)"),
            ({"devices": "tpu"}, "cannot read 'tpu'"),
            ({"devices": "cpu(0),cpu(0)"}, "twice"),
            ({"devices": "cpu(0),gpu(0)"}, "devices of one kind"),
            ({"devices": "cpu(0),cpu(1)", "batch_size": 9}, "must be a multiple of the 2 devices, got 9"),
            ({"m": 3.1416}, "the loss arcface: `m2` must"),
            ({"bag": 2}, "has no triplets to mine"),
            ({"network": "iresnet19"}, "`network` iresnet19"),
            ({"freeze": ("nothing_like_this",)}, "matches none"),
            ({"freeze": ("[",)}, "not a regular expression"),
            ({"lr_mult": ("stage1",)}, "REGEX=FACTOR"),
            ({"init": "/nowhere"}, "/nowhere"),
            ({"eval": ("/nowhere.bin",)}, "/nowhere.bin"),
        ],
    )
    def test_mistakes_are_named_and_leave_nothing(self, tmp_path, tiny_faces, values, words):
        config = tiny_config(**dict({"data": tiny_faces, "run": str(tmp_path / "run")}, **values))
        with pytest.raises(UserError, match=words):
            train(config)
        assert not os.path.exists(str(tmp_path / "run"))

    @pytest.mark.parametrize(
        "values",
        [
            {"scale": 0.0},
            {"lr": float("nan")},
            {"lr_drops": (5, 3)},
            {"policy": "soft"},
            {"batch_size": 0},
            {"loss": "arcfase"},
            {"h": -1.0, "loss": "adaface"},
        ],
    )
    def test_values_out_of_range_name_their_argument(self, values):
        with pytest.raises(UserError, match=f"`{list(values)[0]}` must"):
            from_flat(values)

    @pytest.mark.parametrize(
        "values, words",
        [
            ({"h": 0.5}, "h: the loss arcface and the trainer have no such setting"),
            ({"loss": "softmax", "scale": 16.0}, "scale: the loss softmax and the trainer have no such setting"),
            ({"loss": "contrastive", "bag": 2}, "bag: the loss contrastive and the trainer have no such setting"),
            ({"loss": "softmax", "head": "native"}, "head: the loss softmax and the trainer have no such setting"),
            ({"batchsize": 4}, "batchsize: .*; did you mean batch_size?"),
        ],
    )
    def test_settings_that_a_run_does_not_have_are_refused(self, values, words):
        with pytest.raises(UserError, match=words):
            from_flat(values)


@pytest.mark.skipif(bool(library.unavailable()), reason=library.unavailable() or "available")
@pytest.mark.parametrize(
    "loss", ({"margin_ramp": 0.5}, {"intra_weight": 1.0, "inter_weight": 1.0}, {"loss": "norm_softmax"})
)
def test_native_and_graph_head_train_alike(tmp_path, tiny_faces, loss):
    """With a seed for which no activation lies so near to PReLU's kink that rounding changes its side."""
    configs = [
        tiny(tmp_path, tiny_faces, head, head=head, steps=2, log_every=1, seed=1, **loss)
        for head in ("native", "graph")
    ]
    for config in configs:
        train(config)
    assert_same(final(configs[0]), final(configs[1]), 1e-5)
    for one, other in zip(*(events(config, "step") for config in configs)):
        for figure in ("loss", "target_angle", "accuracy"):
            assert one[figure] == pytest.approx(other[figure], rel=1e-4)


@pytest.mark.parametrize("values", ({"literal": True}, {"accumulate": 2}))
def test_native_head_is_refused_where_there_is_none(tmp_path, tiny_faces, values):
    with pytest.raises(UserError, match="`head` native"):
        train(tiny(tmp_path, tiny_faces, head="native", **values))


def test_nccl_is_refused_on_cpus(tmp_path, tiny_faces):
    with pytest.raises(UserError, match="`kvstore` nccl adds on GPUs only, and `devices` is cpu"):
        train(tiny(tmp_path, tiny_faces, kvstore="nccl", devices="cpu(0),cpu(1)"))
    assert not (tmp_path / "run").exists()


def test_the_choice_of_tf32_is_recorded(tmp_path, tiny_faces, monkeypatch):
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "0")
    config = tiny(tmp_path, tiny_faces, steps=1, tf32=False)
    train(config)
    with open(os.path.join(config.run.run, "environment.json"), encoding="utf-8") as stream:
        assert json.load(stream)["variables"]["NVIDIA_TF32_OVERRIDE"] == "0"
    with pytest.raises(UserError, match="`tf32` was False, now True"):
        train(tiny(tmp_path, tiny_faces, steps=1))
