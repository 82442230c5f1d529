"""Changes to a graph before it is trained, where MXNet 1.9.1 would compute something else silently."""

from __future__ import annotations

from typing import TYPE_CHECKING, Dict

from arcface_mx.model.nodes import Graph, Node, Source

if TYPE_CHECKING:
    from mxnet.symbol import Symbol


def trainable(symbol: Symbol, cudnn_dropout: bool) -> Symbol:
    """Return a graph with the same outputs whose slopes get their gradient and whose dropout follows the seed.

    Parameters
    ----------
    symbol : Symbol
    cudnn_dropout : bool
        Whether dropout may be cuDNN's. `mx.random.seed` does not reach its random numbers.

    Notes
    -----
    In a network the backward pass of ``LeakyReLU(act_type="prelu")`` writes the gradient of its input in
    place over the gradient of its output, and then reads the latter for the gradient of the slopes.
    That gradient therefore comes out multiplied by the slope, 0.25 at the start. The operator alone is
    right, because its output's gradient then belongs to the caller.
    """
    graph = Graph(symbol)
    nodes = graph.nodes()
    slopes = [node for node in nodes if node.op == "LeakyReLU" and node.attrs.get("act_type") == "prelu"]
    dropouts = [] if cudnn_dropout else [node for node in nodes if node.op == "Dropout"]
    for node in slopes:
        _separate_slope_gradient(graph, node)
    for node in dropouts:
        node.attrs["cudnn_off"] = "True"
    return graph.symbol() if slopes or dropouts else symbol


def _separate_slope_gradient(graph: Graph, prelu: Node) -> None:
    """Let a twin of a PReLU, whose output is subtracted from itself, receive the gradient of the slopes."""
    data, slope = prelu.inputs

    def new(op: str, name: str, *inputs: Source, **attrs: str) -> Source:
        node = Node(op, f"{prelu.name}_{name}", dict(attrs))
        node.inputs = list(inputs)
        return Source(node)

    twin_attrs: Dict[str, str] = dict(prelu.attrs)
    twin = new("LeakyReLU", "twin", new("BlockGrad", "fixed_data", data), slope, **twin_attrs)
    zero = new("elemwise_sub", "zero", twin, new("BlockGrad", "fixed_twin", twin))
    total = new("elemwise_add", "sum", Source(prelu), zero)
    graph.replace(prelu, total)
    total.node.inputs[0] = Source(prelu)  # `replace` has changed it too
    prelu.inputs = [data, new("BlockGrad", "fixed_slope", slope)]
