"""Changes to a graph before it is trained, where MXNet 1.9.1 would compute something else silently."""

from __future__ import annotations

from typing import TYPE_CHECKING, Tuple

from arcface_mx.model.nodes import Graph, Node, Source

if TYPE_CHECKING:
    from mxnet.symbol import Symbol


def trainable(symbol: Symbol, cudnn_dropout: bool, **shapes: Tuple[int, ...]) -> Symbol:
    """Return a graph with the same outputs whose slopes get their gradient and whose dropout follows the seed.

    Parameters
    ----------
    symbol : Symbol
    cudnn_dropout : bool
        Whether dropout may be cuDNN's. `mx.random.seed` does not reach its random numbers.
    **shapes : tuple of int
        Shapes of the inputs.

    Notes
    -----
    In a network the backward pass of ``LeakyReLU(act_type="prelu")`` writes the gradient of its input in
    place over the gradient of its output, and then reads the latter for the gradient of the slopes.
    That gradient therefore comes out multiplied by the slope, 0.25 at the start. MXNet writes in place
    only if nothing else reads the gradient of the output afterwards. So the output becomes
    PReLU(x) + 0·slope: the gradient of the second term is read later, because the gradients of the
    layers before x come first.
    """
    graph = Graph(symbol)
    nodes = graph.nodes()
    slopes = [node for node in nodes if node.op == "LeakyReLU" and node.attrs.get("act_type") == "prelu"]
    dropouts = [] if cudnn_dropout else [node for node in nodes if node.op == "Dropout"]
    for node in dropouts:
        node.attrs["cudnn_off"] = "True"
    if slopes:
        internals = symbol.get_internals()
        dimensions = dict(zip(internals.list_outputs(), map(len, internals.infer_shape(**shapes)[1])))
        for node in slopes:
            _keep_output_gradient(graph, node, dimensions[node.name + "_output"])
    return graph.symbol() if slopes or dropouts else symbol


def _keep_output_gradient(graph: Graph, prelu: Node, dimensions: int) -> None:
    """Add 0·slope to the output of a PReLU."""
    data, slope = prelu.inputs

    def new(op: str, name: str, *inputs: Source, **attrs: str) -> Source:
        node = Node(op, f"{prelu.name}_{name}", dict(attrs))
        node.inputs = list(inputs)
        return Source(node)

    zeros = new("_mul_scalar", "zeros", slope, scalar="0.0")
    by_channel = new("Reshape", "by_channel", zeros, shape=str((1, -1) + (1,) * (dimensions - 2)))
    total = new("elemwise_add", "sum", Source(prelu), new("broadcast_like", "everywhere", by_channel, data))
    graph.replace(prelu, total)
    total.node.inputs[0] = Source(prelu)  # `replace` has changed it too
