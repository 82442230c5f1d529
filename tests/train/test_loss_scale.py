"""Runs in half precision: the loss scale, its overflows, and what they leave unchanged.

Products are computed in float32 from float16 values (`tests/support/half.py`); all else is MXNet's own
half precision.
"""

from __future__ import annotations

import mxnet as mx
import numpy as np
import pytest

from arcface_mx.train import checkpoint, guards, loop, loss_scale
from arcface_mx.train.loss_scale import LARGEST, LossScale
from arcface_mx.train.run import train
from arcface_mx.train.state import RunState
from arcface_mx.train.worker import Worker
from arcface_mx.util.errors import UserError
from arcface_mx.util.mx_module import all_reduce_gradients, module_arrays
from tests.support.graph import operators
from tests.support.half import emulate
from tests.support.training import assert_same, events, final, interrupt_after, tiny

TWO = {"devices": "cpu(0),cpu(1)"}
SPLIT = {"parallel": "centres", **TWO}
WAYS = [{}, TWO, SPLIT, {"accumulate": 2, "batch_size": 4}]
WEIGHT = "stage2_unit1_conv1_weight"


@pytest.fixture(autouse=True)
def on_cpu(monkeypatch):
    emulate(monkeypatch)


def half(tmp_path, faces, name="run", **values):
    settings = {"dtype": "float16", "units": (1, 1), "checkpoint_every": 1, "keep_checkpoints": 99, **values}
    return tiny(tmp_path, faces, name, **settings)


def saved(config, step):
    return checkpoint.load(checkpoint.checkpoint_path(config.run.run, step))


def overflow_in_the_sum(monkeypatch, steps):
    """Let the devices' gradients be finite in these steps, and their sum in float16 infinite."""
    count = []

    def all_reduce(module):
        count.append(1)
        arrays = module_arrays(module)
        copies = arrays.gradients[arrays.names.index(WEIGHT)]
        if len(count) in steps:
            for array in copies:
                array[0] = 40000.0
        assert all(np.isfinite(array.asnumpy()).all() for array in copies)
        all_reduce_gradients(module)
        assert np.isfinite(copies[0].asnumpy()).all() == (len(count) not in steps)

    monkeypatch.setattr(loop, "all_reduce_gradients", all_reduce)
    # A GPU adds the squares in float32. The CPU does it in float16 and then looks at the gradients once more.
    real = guards.square_sums
    monkeypatch.setattr(guards, "square_sums", lambda arrays: real([array.astype("float32") for array in arrays]))


@pytest.mark.slow
def test_updates_are_those_of_float32(tmp_path, tiny_faces):
    start = tiny(tmp_path, tiny_faces, "start", steps=2, units=(1, 1))
    train(start)
    values = {"network": "init", "init": start.run.run, "freeze_batchnorm": True, "steps": 1, "lr": 0.1}
    values.update(momentum=0.0, weight_decay=0.0)
    before, single = final(start), half(tmp_path, tiny_faces, "single", dtype="float32", **values)
    train(single)
    # About 10 layers round to 2⁻¹¹ in each direction, several times each.
    for number, way in enumerate(WAYS[1:4]):
        run = half(tmp_path, tiny_faces, f"half{number}", **values, **way)
        train(run)
        change, difference = 0.0, 0.0
        for name in set(before.arg_params) - {"fc7_weight"}:
            old, wanted, found = (
                state.arg_params[name].asnumpy().ravel() for state in (before, final(single), final(run))
            )
            change, difference = change + ((wanted - old) ** 2).sum(), difference + ((found - wanted) ** 2).sum()
        assert 0.0 < difference < (0.02**2) * change, way


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_the_factors_of_a_step_add_up_to_the_scale(tmp_path, tiny_faces, monkeypatch, way):
    """So that gradients do not grow with the batch, its parts or the devices."""
    factors, real = [], loop.Trainer._inputs

    def inputs(self, batch):
        result = real(self, batch)
        factors.append(result.data[-1].asnumpy())
        return result

    monkeypatch.setattr(loop.Trainer, "_inputs", inputs)
    train(half(tmp_path, tiny_faces, steps=1, loss_scale=512.0, **way))
    assert np.concatenate(factors).sum() == pytest.approx(512.0)


def test_the_graph_in_half_precision_is_that_of_init_too(tmp_path, tiny_faces):
    start = tiny(tmp_path, tiny_faces, "start", steps=1, units=(1, 1))
    train(start)
    from arcface_mx.model.backbone import make_backbone

    config = half(tmp_path, tiny_faces, network="init")
    symbol = make_backbone(config.network, 32, start.run.run).symbol(training=True)
    types = dict(zip(symbol.list_arguments(), symbol.infer_type(data="float32")[0]))
    assert types[WEIGHT] == np.float16 and symbol.infer_type(data="float32")[1] == [np.float32]
    assert operators(symbol)


@pytest.mark.parametrize("way", [TWO, SPLIT], ids=str)
def test_a_sum_that_overflows_changes_nothing_and_halves_the_scale(tmp_path, tiny_faces, monkeypatch, way):
    overflow_in_the_sum(monkeypatch, {3})
    config = half(tmp_path, tiny_faces, steps=4, dropout=0.3, **way)
    metrics = train(config)
    before, skipped, after = (saved(config, step) for step in (2, 3, 4))
    assert_same(before, skipped)
    for one, two in zip(before.device_statistics, skipped.device_statistics):
        assert all((one[name].asnumpy() == two[name].asnumpy()).all() for name in one)
    assert before.loss_scale == {"scale": 128.0, "good_steps": 2, "overflows": 0}
    assert skipped.loss_scale == {"scale": 64.0, "good_steps": 0, "overflows": 1}
    assert after.loss_scale == {"scale": 64.0, "good_steps": 1, "overflows": 1}
    assert (after.arg_params[WEIGHT].asnumpy() != skipped.arg_params[WEIGHT].asnumpy()).any()
    assert [event["loss_scale"] for event in events(config, "overflow")] == [64.0]
    assert metrics["skipped_steps"] == 0 and metrics["loss_scale"] == after.loss_scale


@pytest.mark.slow
@pytest.mark.parametrize("way", [{}, SPLIT, {"accumulate": 2, "batch_size": 4}], ids=str)
def test_a_resume_after_overflows_ends_with_the_same_bits(tmp_path, tiny_faces, monkeypatch, way):
    """A scale of 65,536 overflows in the first steps by itself."""
    values = {"loss_scale": LARGEST, "steps": 7, "dropout": 0.3, "log_every": 1, **way}
    unbroken, broken = (half(tmp_path, tiny_faces, name, **values) for name in ("unbroken", "broken"))
    monkeypatch.setattr(loss_scale, "PATIENCE", 3)  # so that the scale is doubled again
    train(unbroken)
    for steps in (1, 2, 3):
        with monkeypatch.context() as patch:
            interrupt_after(patch, steps)
            with pytest.raises(KeyboardInterrupt):
                train(broken)
    train(broken)
    one, two = final(unbroken), final(broken)
    assert_same(one, two)
    assert one.loss_scale == two.loss_scale and one.loss_scale["overflows"] >= 2
    assert [event["loss_scale"] for event in events(unbroken, "step")][-1] == one.loss_scale["scale"]


def test_a_scale_that_cannot_be_halved_ends_the_run_with_one_line(tmp_path, tiny_faces, monkeypatch):
    overflow_in_the_sum(monkeypatch, {2, 3})
    config = half(tmp_path, tiny_faces, loss_scale=2.0, **TWO)
    with pytest.raises(UserError) as caught:
        train(config)
    text = str(caught.value)
    assert text.startswith("step 3: the gradient overflowed in float16 with the smallest loss scale, 1.") and (
        "checkpoints/step-00000002; no update" in text and "\n" not in text
    )
    assert final(config).loss_scale["scale"] == 1.0


def test_a_constant_scale_stays_and_an_overflow_ends_the_run(tmp_path, tiny_faces, monkeypatch):
    overflow_in_the_sum(monkeypatch, {3})
    monkeypatch.setattr(loss_scale, "PATIENCE", 1)
    config = half(tmp_path, tiny_faces, dynamic_loss_scale=False, **TWO)
    with pytest.raises(UserError, match="the gradient is not finite at step 3"):
        train(config)
    assert final(config).loss_scale["scale"] == 128.0 and not events(config, "overflow")


def test_an_image_that_is_not_finite_is_no_overflow(tmp_path, tiny_faces, monkeypatch):
    real = loop.Trainer._inputs

    def inputs(self, batch):
        batch.pixels[0] = np.nan
        return real(self, batch)

    monkeypatch.setattr(loop.Trainer, "_inputs", inputs)
    with pytest.raises(UserError, match="loss is nan at step 1 .*first bad value: output of "):
        train(half(tmp_path, tiny_faces))


def test_the_update_divides_by_the_scale_of_its_own_gradient(tmp_path, tiny_faces, monkeypatch):
    """Also in the step after which the scale is doubled."""
    used = []
    monkeypatch.setattr(loop, "set_gradient_factor", lambda module, factor: used.append(factor))
    monkeypatch.setattr(loss_scale, "PATIENCE", 2)
    train(half(tmp_path, tiny_faces, steps=5, lr=0.0, weight_decay=0.0))
    assert used == [1 / 128, 1 / 128, 1 / 256, 1 / 256, 1 / 512]


def test_the_scale_is_doubled_after_good_steps_up_to_a_bound():
    scale = LossScale(LARGEST / 2, dynamic=True, state={})
    doubled = [step for step in range(1, 3 * loss_scale.PATIENCE + 1) if scale.updated()]
    assert doubled == [2000] and scale.value == LARGEST
    constant = LossScale(8.0, dynamic=False, state={})
    assert not any(constant.updated() for _ in range(3 * loss_scale.PATIENCE)) and constant.value == 8.0
    assert LossScale(8.0, dynamic=True, state=scale.state()).state() == scale.state()


def test_every_worker_continues_with_the_scale_of_rank_0():
    class Store:
        """Broadcasts what rank 0 sent."""

        sent = {}

        def broadcast(self, key, value, out):
            self.sent.setdefault(key, value.copy()).copyto(out)

    network = mx.sym.FullyConnected(mx.sym.Variable("data"), num_hidden=2, no_bias=True, name="fc")
    network = mx.sym.BatchNorm(network, name="bn")
    scale = {"scale": 32.0, "good_steps": 1999, "overflows": 2}
    weights = {"fc_weight": mx.nd.ones((2, 3))}
    first = RunState(5, weights, {"bn_moving_mean": mx.nd.ones(2)}, weights, {}, loss_scale=scale)
    states = [
        Worker(Store(), rank, 2).share_state(state, network, {"data": (4, 3)})
        for rank, state in enumerate((first, RunState(0, {}, {}, {}, {})))
    ]
    assert [LossScale(128.0, True, state.loss_scale).state() for state in states] == [scale, scale]
