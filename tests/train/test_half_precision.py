"""Types, float32 copies and scaled gradients of `dtype` float16. `test_loss_scale.py` has whole runs."""

from __future__ import annotations

from types import SimpleNamespace

import mxnet as mx
import numpy as np
import pytest

from arcface_mx.config import from_flat
from arcface_mx.losses.graph import LOSS_SCALE, training_graph
from arcface_mx.model.backbone import make_backbone
from arcface_mx.parallel.centre_module import CentreParallelModule
from arcface_mx.train.module import build_module, read_state, start_optimizer, write_momentum
from arcface_mx.train.schedule import Schedule
from arcface_mx.train.worker import Worker
from arcface_mx.util.errors import UserError
from arcface_mx.util.mx_module import set_gradient_factor

SMALL = {
    "network": "iresnet18",
    "width": 0.07,
    "image_size": 32,
    "embedding_size": 16,
    "batch_size": 4,
    "steps": 10,
    "lr_drops": (),
}


def half(**values):
    return from_flat(dict(SMALL, dtype="float16", **values))


def backbone(config):
    return make_backbone(config.network, config.data.image_size)


def fake_run(config, scaled=False):
    """As much of a Run as module and optimizer need, on one CPU."""
    embedding = backbone(config).symbol(training=True)
    return SimpleNamespace(
        backbone=backbone(config),
        loss=config.loss,
        graph=training_graph(embedding, config.loss, 10, scaled=scaled),
        schedule=Schedule.of(config.optimizer, config.data.batch_size),
        optimizer=config.optimizer,
        options=config.run,
        batch_size=config.data.batch_size,
        contexts=[mx.cpu(0)],
        worker=Worker("device"),
    )


@pytest.mark.parametrize("network", ["iresnet18", "mobilefacenet"])
def test_layers_are_half_and_batchnorm_centres_margin_and_softmax_single(network):
    graph = fake_run(half(network=network)).graph.symbol
    types = dict(zip(graph.list_arguments(), graph.infer_type(data="float32", label="float32")[0]))
    assert types["fc7_weight"] == types["label"] == np.float32
    weights = [name for name in types if name.endswith("_weight") and name != "fc7_weight" and "relu" not in name]
    assert len(weights) > 10 and all(types[name] == np.float16 for name in weights)
    assert all(types[name] == np.float32 for name in types if name.endswith(("_bn1_gamma", "_bn2_beta", "fc1_gamma")))
    assert all(kind == np.float32 for kind in graph.infer_type(data="float32", label="float32")[1])


def test_the_exported_network_is_single():
    symbol = backbone(half()).symbol()
    assert "float16" not in symbol.tojson()


def test_gradients_are_scaled_up_and_the_update_divides():
    config = from_flat(SMALL)
    plain, scaled = (_centres(config, scale) for scale in (1.0, 512.0))
    for name, value in plain.items():
        np.testing.assert_allclose(scaled[name], value, rtol=1e-6, atol=1e-6, err_msg=name)


def _centres(config, scale):
    """Parameters after one step of a split classifier whose gradients are multiplied by `scale` on the way."""
    embedding = mx.sym.FullyConnected(mx.sym.Variable("data"), num_hidden=8, name="fc1")
    module = CentreParallelModule(embedding, config.loss, 6, [mx.cpu(0), mx.cpu(1)], scaled=True)
    module.bind([("data", (4, 5)), (LOSS_SCALE, (4,))], [("label", (4,))])
    mx.random.seed(0)
    module.init_params(mx.init.Xavier())
    module.init_optimizer("device", "sgd", {"learning_rate": 0.1, "momentum": 0.9, "rescale_grad": 0.25 / scale})
    pixels = mx.nd.array(np.random.RandomState(0).normal(size=(4, 5)))
    module.forward_backward(mx.io.DataBatch([pixels, mx.nd.full(4, scale)], [mx.nd.array([0, 5, 3, 3])]))
    module.update()
    return {name: array.asnumpy() for name, array in module.get_params()[0].items()}


class TestMasterWeights:
    """On a product element by element, which MXNet does compute in half precision here."""

    def module(self, config, start):
        weight = mx.sym.Variable("scale_weight", shape=(8,), dtype="float16")
        product = mx.sym.broadcast_mul(mx.sym.Cast(mx.sym.Variable("data"), dtype="float16"), weight)
        loss = mx.sym.MakeLoss(
            mx.sym.sum(mx.sym.Cast(product, dtype="float32"), axis=1), grad_scale=config.optimizer.loss_scale
        )
        module = mx.mod.Module(loss, ["data"], None)
        module.bind([("data", (4, 8))])
        module.init_params(mx.init.One(), arg_params=start, allow_missing=True)
        module.scheduler = start_optimizer(module, fake_run(config, scaled=True))
        set_gradient_factor(module, 0.25 / config.optimizer.loss_scale)
        return module

    def steps(self, module, count):
        for _ in range(count):
            module.forward_backward(mx.io.DataBatch([mx.nd.ones((4, 8))]))
            module.update()

    def test_updates_too_small_for_half_precision_add_up(self):
        config = half(lr=1e-4, momentum=0.0, weight_decay=0.0)  # 1 − 1e-4 is 1 in float16
        module = self.module(config, None)
        self.steps(module, 20)
        state = read_state(module, 20, {})
        assert state.arg_params["scale_weight"].dtype == np.float32
        np.testing.assert_allclose(state.arg_params["scale_weight"].asnumpy(), 1 - 20e-4, rtol=1e-6)

    def test_a_run_that_goes_on_ends_with_the_same_bits(self):
        config = half(lr=1e-4)
        whole = self.module(config, None)
        self.steps(whole, 7)
        first = self.module(config, None)
        self.steps(first, 3)
        state = read_state(first, 3, {})
        second = self.module(config, state.arg_params)
        write_momentum(second, state.momentum, state.arg_params)
        self.steps(second, 4)
        one, two = read_state(whole, 7, {}), read_state(second, 7, {})
        for group in ("arg_params", "momentum"):
            np.testing.assert_array_equal(
                getattr(one, group)["scale_weight"].asnumpy(), getattr(two, group)["scale_weight"].asnumpy()
            )


def test_the_cpu_is_refused():
    config = half()
    with pytest.raises(UserError, match="`dtype` float16 needs GPUs"):
        build_module(fake_run(config))


def test_slopes_of_prelu_get_a_compensated_sum():
    """Over 100,000 terms a plain sum in half precision stops growing; MXNet's reduction carries what it rounds off."""
    random = np.random.RandomState(0)
    x, gradient = (random.normal(size=(8, 2, 80, 80)).astype(np.float16) for _ in range(2))
    gradient = (1e-2 * np.abs(gradient)).astype(np.float16)
    data, slope = mx.nd.array(x, dtype="float16"), mx.nd.full(2, 0.25, dtype="float16")
    slope.attach_grad()
    with mx.autograd.record():
        out = mx.nd.LeakyReLU(data, slope, act_type="prelu")
    out.backward(mx.nd.array(gradient, dtype="float16"))
    terms = gradient * np.minimum(x, np.float16(0))
    exact = terms.astype(np.float64).sum((0, 2, 3))
    half = 2.0**-11  # relative rounding of one operation: the result, and what the compensation leaves
    np.testing.assert_allclose(slope.grad.asnumpy(), exact, rtol=2 * half)
    plain = np.add.accumulate(terms[:, 0].ravel(), dtype=np.float16)[-1]
    assert abs(plain - exact[0]) > 0.1 * abs(exact[0])
