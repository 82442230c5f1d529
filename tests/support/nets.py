"""Small embedding graphs with random parameters, and random images."""

from __future__ import annotations

import mxnet as mx
import numpy as np

from arcface_mx import symbols
from arcface_mx.model import trial


def embedding(size=None, d=8, pooled=False, name="fc1"):
    """Return a small graph from "data" (0 to 255) to N×d; `size` is stated as an attribute."""
    attributes = {"arcface_input_size": f"{size[0]},{size[1]}"} if size else {}
    data = mx.sym.Variable("data", attr=attributes)
    scaled = (data - 127.5) * 0.0078125
    net = mx.sym.Convolution(scaled, num_filter=4, kernel=(3, 3), stride=(4, 4), name="conv")
    net = mx.sym.BatchNorm(net, fix_gamma=False, name="bn")
    net = mx.sym.Activation(net, act_type="relu")
    if pooled:
        net = mx.sym.Pooling(net, global_pool=True, pool_type="avg", kernel=(1, 1))
    return mx.sym.FullyConnected(net, num_hidden=d, name=name)


def parameters(symbol, size, seed=0, **inputs):
    """Return random (arg_params, aux_params) for images of this size; `inputs` are other shapes."""
    random = np.random.RandomState(seed)
    arg_shapes, _, aux_shapes = symbol.infer_shape(data=(1, 3) + size, **inputs)
    skip = {"data", "softmax_label"}
    arguments = {
        key: mx.nd.array(random.normal(0, 0.1, shape))
        for key, shape in zip(symbol.list_arguments(), arg_shapes)
        if key not in skip
    }
    states = {
        key: mx.nd.array(random.uniform(0.5, 1.5, shape))
        for key, shape in zip(symbol.list_auxiliary_states(), aux_shapes)
    }
    return arguments, states


def plausible_parameters(symbol, size):
    """Like `parameters`, with gammas, betas and biases that a trained network could have."""
    arguments, states = parameters(symbol, size)
    random = np.random.RandomState(1)
    for name, value in arguments.items():
        if name.endswith(("gamma", "beta", "bias")):
            arguments[name] = mx.nd.array(random.uniform(0.5, 1.5, value.shape))
    return arguments, states


def backbone(name, size=(32, 32)):
    """Return (symbol, arg_params, aux_params) of a small backbone, plausible as trained."""
    data = mx.sym.Variable("data", attr={"arcface_input_size": f"{size[0]},{size[1]}"})
    symbol = symbols.backbone(name, data, embedding_size=16, width=0.25, input_size=size[0])
    return (symbol,) + plausible_parameters(symbol, size)


def save(folder, symbol, arguments, states, epoch=0, name="model"):
    """Save a model, which is then not tried when it is loaded; returns its prefix."""
    prefix = str(folder / name)
    mx.model.save_checkpoint(prefix, epoch, symbol, arguments, states)
    trial.remember(symbol.tojson(), arguments, states)
    return prefix


def images(count, size=(112, 112), seed=0):
    """Smooth random uint8 RGB images."""
    random = np.random.RandomState(seed)
    blocks = random.randint(0, 256, (count, size[0] // 8, size[1] // 8, 3)).astype(np.uint8)
    return list(blocks.repeat(8, 1).repeat(8, 2))


def outputs(symbol, arguments, states, images):
    """Return the output of the graph for all images at once."""
    data = mx.nd.array(np.stack(images).transpose(0, 3, 1, 2).astype(np.float32))
    executor = symbol.bind(mx.cpu(), dict(arguments, data=data), aux_states=states, grad_req="null")
    return executor.forward(is_train=False)[0].asnumpy()
