"""The same small network as an ordinary Module on one device and split by class over several."""

from __future__ import annotations

import mxnet as mx
import numpy as np

from arcface_mx.config import LossConfig
from arcface_mx.losses import losses
from arcface_mx.losses.training_graph import loss_outputs, target_cosine_row
from arcface_mx.parallel.centre_module import CentreParallelModule
from arcface_mx.symbols import correct_without_margin

PIXELS = 5


def embedding(width):
    return mx.sym.FullyConnected(mx.sym.Variable("data"), num_hidden=width, name="fc1")


def scheduled_names(config):
    return [name for name in losses.find(config.loss).scheduled if name != "margin_ramp" or config.margin_ramp]


def one_device(config: LossConfig, classes, width):
    x, label = embedding(width), mx.sym.Variable("label")
    names = scheduled_names(config)
    graph = losses.find(config.loss).build(x, label, classes, config, {name: mx.sym.Variable(name) for name in names})
    outputs = loss_outputs(graph.terms)
    outputs["target_cosine"] = target_cosine_row(graph, x, label)
    outputs["correct"] = correct_without_margin(graph.logits, label)
    return mx.mod.Module(mx.sym.Group(list(outputs.values())), ["data", *names], ["label"], context=mx.cpu(0))


def split(config: LossConfig, classes, width, devices, **options):
    contexts = [mx.cpu(device) for device in range(devices)]
    return CentreParallelModule(embedding(width), config, classes, contexts, scheduled_names(config), **options)


def prepared(module, config, images, parameters=None, grad_req="write", seed=0, optimizer=None):
    """Bound, initialised and with an optimizer: plain SGD with rate 1, so that an update shows the gradient."""
    rows = [(name, (images,)) for name in scheduled_names(config)]
    module.bind([("data", (images, PIXELS))] + rows, [("label", (images,))], grad_req=grad_req)
    mx.random.seed(seed)
    np.random.seed(seed)
    module.init_params(mx.init.Xavier(magnitude=3), arg_params=parameters, allow_missing=True)
    module.init_optimizer("device", "sgd", optimizer or {"learning_rate": 1.0, "wd": 0.0, "rescale_grad": 1.0})
    return module


def batch(config, labels, seed=0):
    random = np.random.RandomState(seed)
    data = [mx.nd.array(random.normal(size=(len(labels), PIXELS)))]
    data += [mx.nd.full((len(labels),), {"lambda": 5.0, "margin_ramp": 0.6}[name]) for name in scheduled_names(config)]
    return mx.io.DataBatch(data, [mx.nd.array(labels, dtype="int32")])


def outputs(module):
    """By place: loss, terms, target cosine, correct; BlockGrad gives some of Module's no name."""
    return {number: array.asnumpy() for number, array in enumerate(module.get_outputs())}


def values(module):
    return {name: array.asnumpy() for name, array in module.get_params()[0].items()}


def assert_equal(found, expected, tolerance=1e-5):
    """Largest difference at most `tolerance` times the largest expected value, or 1."""
    assert set(found) == set(expected)
    for name in expected:
        limit = tolerance * max(1.0, float(np.max(np.abs(expected[name]))))
        error = float(np.max(np.abs(found[name] - expected[name])))
        assert error <= limit, f"{name} differs by {error:g}, limit {limit:g}"
