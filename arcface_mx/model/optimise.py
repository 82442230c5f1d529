"""The form of a graph that is fastest on CPUs: the same embeddings from fewer and fused operators.

BatchNorm is folded, PReLU becomes depthwise convolutions, and convolutions are fused with the
operators after them. oneDNN keeps the output of a convolution in a memory layout of its own.
MXNet's PReLU operator does not know this layout, so each PReLU costs two copies. The equal
expression slope·x + (1 − slope)·relu(x), with each product as a depthwise 1×1 convolution, keeps
the layout.
The form for training is in `symbols/backbones/prelu.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, Mapping, Tuple

from arcface_mx.model.fold import fold_batchnorm
from arcface_mx.model.nodes import Graph, Node, Source

if TYPE_CHECKING:
    import mxnet as mx


def optimise(
    symbol: mx.sym.Symbol,
    arg_params: Mapping[str, Any],
    aux_params: Mapping[str, Any],
    image: str,
    size: Tuple[int, int],
) -> Tuple[mx.sym.Symbol, Dict[str, mx.nd.NDArray], Dict[str, mx.nd.NDArray]]:
    """Return (symbol, arg_params, aux_params) with the same output at inference.

    `image` and `size` are the name and (height, width) of the graph's input. Results differ by
    rounding, about 1e-6 of the largest value. Fused operators, and with them the output, have other
    names. They keep a copy of their weights: for new parameter values, call this again. The
    arguments are not changed.
    """
    folded, args, aux = fold_batchnorm(symbol, arg_params, aux_params)
    internals = folded.get_internals()
    known = {name: value.shape for name, value in args.items()}
    _, outputs, _ = internals.infer_shape(**dict(known, **{image: (1, 3) + tuple(size)}))
    shapes = dict(zip(internals.list_outputs(), outputs))
    graph = Graph(folded)
    for node in graph.nodes():
        if node.op == "LeakyReLU" and node.attrs.get("act_type") == "prelu":
            slopes = args[node.inputs[1].node.name].shape
            shape = shapes[node.name + "_output"]
            if len(shape) == 4 and slopes == (shape[1],):
                _replace_prelu(graph, node, args, shape[1])
        if node.op == "FullyConnected" and node.flag("flatten", True):
            # A fused layer that reads a convolution's output of 1×1 pixels, as in MobileFaceNet,
            # works once and then fails: "We can't generate TBlob for MKLDNN data".
            node.inputs[0] = Source(Node("Flatten", node.name + "_flat", {}, node.inputs[0]))
    return _fuse(graph.symbol()), args, aux


def _fuse(symbol: mx.sym.Symbol) -> mx.sym.Symbol:
    """Fuse convolution, activation and sum into one operator, where MXNet is built with oneDNN."""
    import mxnet as mx

    if not mx.runtime.Features().is_enabled("MKLDNN"):
        return symbol
    return symbol.get_backend_symbol("MKLDNN")


def _replace_prelu(graph: Graph, prelu: Node, args: Dict[str, Any], channels: int) -> None:
    data, slope, name = prelu.inputs[0], prelu.inputs[1].node, prelu.name
    kernels = args[slope.name].reshape((channels, 1, 1, 1))
    args[slope.name] = kernels
    args[name + "_above_weight"] = 1.0 - kernels
    positive = Node("Activation", name + "_positive", {"act_type": "relu"}, data)
    above = _depthwise(name + "_above", channels, Source(positive), name + "_above_weight")
    below = _depthwise(name + "_below", channels, data, slope.name)
    graph.replace(prelu, Source(Node("elemwise_add", name, {}, above, below)))


def _depthwise(name: str, channels: int, data: Source, weight: str) -> Source:
    attributes = {"kernel": "(1, 1)", "num_filter": str(channels), "num_group": str(channels), "no_bias": "True"}
    return Source(Node("Convolution", name, attributes, data, Source(Node("null", weight, {}))))
