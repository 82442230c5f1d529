"""A graph's fast form for the CPU: the same embeddings, BatchNorm folded, PReLU as depthwise convolutions,
convolutions fused with what follows them.

oneDNN runs convolutions in a layout of its own; MXNet's PReLU operator leaves it, so that each one
costs two copies. slope·x + (1 − slope)·relu(x), each product a depthwise 1×1 convolution, stays in it
(`symbols/backbones/prelu.py` has the training form).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, Mapping, Tuple

from arcface_mx.model.fold import fold_batchnorm
from arcface_mx.model.nodes import Graph, Node, Source

if TYPE_CHECKING:
    import mxnet as mx


def fast_form(
    symbol: mx.sym.Symbol,
    arg_params: Mapping[str, Any],
    aux_params: Mapping[str, Any],
    image: str,
    size: Tuple[int, int],
) -> Tuple[mx.sym.Symbol, Dict[str, mx.nd.NDArray], Dict[str, mx.nd.NDArray]]:
    """(symbol, arg_params, aux_params) that give the same output at inference; what is given stays as it is.

    image, size: name and (height, width) of the graph's input. Equal to rounding, about 1e-6 of the
    largest value. Fused operators have names of their own, the output too, and keep a copy of their
    weights: new values need a new form.
    """
    folded, args, aux = fold_batchnorm(symbol, arg_params, aux_params)
    internals = folded.get_internals()
    known = {name: value.shape for name, value in args.items()}
    _, outputs, _ = internals.infer_shape(**dict(known, **{image: (1, 3) + tuple(size)}))
    shapes = dict(zip(internals.list_outputs(), outputs))
    graph = Graph(folded)
    for node in graph.nodes():
        if node.op == "LeakyReLU" and node.attrs.get("act_type") == "prelu":
            slope = node.inputs[1].node.name
            shape = shapes[node.name + "_output"]
            if len(shape) == 4 and args[slope].shape == (shape[1],):
                _as_convolutions(graph, node, args, shape[1])
        if node.op == "FullyConnected" and node.flag("flatten", True):
            _flattened(node)
    return _fused(graph.symbol()), args, aux


def _fused(symbol: mx.sym.Symbol) -> mx.sym.Symbol:
    """oneDNN's graph pass: convolution, activation and sum in one operator. A build without oneDNN has none."""
    import mxnet as mx

    if not mx.runtime.Features().is_enabled("MKLDNN"):
        return symbol
    return symbol.get_backend_symbol("MKLDNN")


def _flattened(dense: Node) -> None:
    """Flatten before a fully connected layer: the fused one, given a convolution's own output of 1×1 pixels, as in
    MobileFaceNet, works once and then fails ("We can't generate TBlob for MKLDNN data")."""
    dense.inputs[0] = Source(_node("Flatten", dense.name + "_flat", {}, dense.inputs[0]))


def _as_convolutions(graph: Graph, prelu: Node, args: Dict[str, Any], channels: int) -> None:
    data, slope = prelu.inputs[0], prelu.inputs[1].node
    name = prelu.name
    kernels = args[slope.name].reshape((channels, 1, 1, 1))
    args[slope.name] = kernels
    args[name + "_above_weight"] = 1.0 - kernels
    positive = _node("Activation", name + "_positive", {"act_type": "relu"}, data)
    above = _depthwise(name + "_above", channels, Source(positive), Node("null", name + "_above_weight", {}))
    below = _depthwise(name + "_below", channels, data, Node("null", slope.name, {}))
    graph.replace(prelu, Source(_node("elemwise_add", name, {}, Source(above), Source(below))))


def _depthwise(name: str, channels: int, data: Source, weight: Node) -> Node:
    attributes = {"kernel": "(1, 1)", "num_filter": str(channels), "num_group": str(channels), "no_bias": "True"}
    return _node("Convolution", name, attributes, data, Source(weight))


def _node(op: str, name: str, attributes: Dict[str, str], *inputs: Source) -> Node:
    node = Node(op, name, attributes)
    node.inputs = [Source(source.node, source.output, source.version) for source in inputs]
    return node
