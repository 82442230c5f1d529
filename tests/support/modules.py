"""The same small network as an ordinary Module on one device and split by class over several."""

from __future__ import annotations

import mxnet as mx
import numpy as np

from arcface_mx.config import field_table, find_loss
from arcface_mx.losses.graph import training_graph
from arcface_mx.parallel.centre_module import CentreParallelModule

PIXELS = 5
SCALARS = {"lambda": 5.0, "margin_ramp": 0.6}


def make_loss(loss="arcface", **settings):
    """A loss by name. A scale is left out for a loss that has none."""
    kind = find_loss(loss)
    if "scale" not in field_table(kind):
        settings.pop("scale", None)
    return kind(**settings)


def embedding(width):
    return mx.sym.FullyConnected(mx.sym.Variable("data"), num_hidden=width, name="fc1")


def one_device(loss, classes, width):
    graph = training_graph(embedding(width), loss, classes)
    return mx.mod.Module(graph.symbol, ["data", *graph.scheduled], ["label"], context=mx.cpu(0))


def split(loss, classes, width, devices, **options):
    contexts = [mx.cpu(device) for device in range(devices)]
    return CentreParallelModule(embedding(width), loss, classes, contexts, **options)


def prepared(module, loss, images, parameters=None, grad_req="write", seed=0, optimizer=None):
    """Bound, initialised and with an optimizer: plain SGD with rate 1, so that an update shows the gradient."""
    rows = [(name, (images,)) for name in loss.scheduled_names]
    module.bind([("data", (images, PIXELS)), *rows], [("label", (images,))], grad_req=grad_req)
    mx.random.seed(seed)
    np.random.seed(seed)
    module.init_params(mx.init.Xavier(magnitude=3), arg_params=parameters, allow_missing=True)
    module.init_optimizer("device", "sgd", optimizer or {"learning_rate": 1.0, "wd": 0.0, "rescale_grad": 1.0})
    return module


def batch(loss, labels, seed=0):
    random = np.random.RandomState(seed)
    data = [mx.nd.array(random.normal(size=(len(labels), PIXELS)))]
    data += [mx.nd.full((len(labels),), SCALARS[name]) for name in loss.scheduled_names]
    return mx.io.DataBatch(data, [mx.nd.array(labels, dtype="int32")])


def outputs(module):
    """By place: loss, terms, target cosine, correct. BlockGrad gives some outputs of Module no name."""
    return {number: array.asnumpy() for number, array in enumerate(module.get_outputs())}


def values(module):
    return {name: array.asnumpy() for name, array in module.get_params()[0].items()}


def assert_equal(actual, expected, tolerance=1e-5):
    """Largest difference at most `tolerance` times the largest expected value, or 1."""
    assert set(actual) == set(expected)
    for name in expected:
        limit = tolerance * max(1.0, float(np.max(np.abs(expected[name]))))
        error = float(np.max(np.abs(actual[name] - expected[name])))
        assert error <= limit, f"{name} differs by {error:g}, limit {limit:g}"
