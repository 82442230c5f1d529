"""BatchNorm folding: at inference it is a factor and a shift a channel, which a neighbour takes over.

With stored statistics BatchNorm is y = a·x + b, a = γ/√(σ² + ε), b = β − a·μ. After a convolution
or fully connected layer W·x + c it goes into that layer: W' = a·W, c' = a·c + b. Before one without
padding it goes into that: W' = W·a, c' = c + W·b. Before a padded convolution it stays: the border
is 0, not b. Dropout, which does nothing at inference, goes.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Tuple

import numpy as np

from arcface_mx.model.nodes import Graph, Node, Source

if TYPE_CHECKING:
    import mxnet as mx

Arrays = Dict[str, np.ndarray]
LAYERS = ("Convolution", "FullyConnected")


def fold_batchnorm(
    symbol: mx.sym.Symbol, arg_params: Mapping[str, Any], aux_params: Mapping[str, Any]
) -> Tuple[mx.sym.Symbol, Dict[str, mx.nd.NDArray], Dict[str, mx.nd.NDArray]]:
    """The same function at inference with fewer BatchNorms: (symbol, arg_params, aux_params), all new.

    A folded layer takes the name of the BatchNorm after it, so that "fc1" stays the embedding; its
    parameters keep their names, and `<layer>_bias` is made where there was none. What is given is
    not changed. Works in float64, gives float32.
    """
    import mxnet as mx

    graph = Graph(symbol)
    arrays = {
        name: value.asnumpy().astype(np.float64) for group in (arg_params, aux_params) for name, value in group.items()
    }
    for node in graph.nodes():
        if node.op == "Dropout":
            graph.replace(node, node.inputs[0])
    for node in graph.nodes():
        if node.op == "BatchNorm" and int(node.attrs.get("axis", 1)) == 1:
            _fold(graph, node, arrays)
    folded = graph.symbol()

    def kept(names: List[str]) -> Dict[str, Any]:
        return {name: mx.nd.array(arrays[name].astype(np.float32)) for name in names if name in arrays}

    return folded, kept(folded.list_arguments()), kept(folded.list_auxiliary_states())


def _fold(graph: Graph, norm: Node, arrays: Arrays) -> None:
    users = graph.users()
    before = norm.inputs[0].node
    if _takes(before, users) and len(users[id(before)]) == 1 and not graph.is_head(before):
        factor, shift = _factor_and_shift(norm, arrays)
        weight = arrays[before.inputs[1].node.name]
        arrays[before.inputs[1].node.name] = weight * factor.reshape((-1,) + (1,) * (weight.ndim - 1))
        _set_bias(before, factor * _bias(before, arrays, len(factor)) + shift, arrays)
        graph.replace(norm, Source(before))
        before.name = norm.name
        return
    after = _layer_after(graph, norm, users)
    if after is not None:
        factor, shift = _factor_and_shift(norm, arrays)
        _fold_forward(after, factor, shift, arrays)
        graph.replace(norm, norm.inputs[0])


def _takes(layer: Node, users: Mapping[int, List[Node]]) -> bool:
    """Whether a layer's weights are its own and lie as (outputs, inputs…)."""
    if layer.op not in LAYERS or layer.attrs.get("layout", "None") not in ("None", "NCHW"):
        return False
    if layer.op == "FullyConnected" and not layer.flag("flatten", True):
        return False
    return all(source.node.op == "null" and len(users[id(source.node)]) == 1 for source in layer.inputs[1:])


def _layer_after(graph: Graph, norm: Node, users: Mapping[int, List[Node]]) -> Optional[Node]:
    """The one unpadded layer that a BatchNorm feeds, directly or through Flatten."""
    node = norm
    while True:
        following = users.get(id(node), [])
        if len(following) != 1 or graph.is_head(node):
            return None
        node = following[0]
        if node.op != "Flatten":
            break
    if not _takes(node, users):
        return None
    padded = node.op == "Convolution" and any(np.ravel(ast.literal_eval(node.attrs.get("pad", "0"))))
    return None if padded else node


def _factor_and_shift(norm: Node, arrays: Arrays) -> Tuple[np.ndarray, np.ndarray]:
    gamma, beta, mean, variance = (arrays[source.node.name] for source in norm.inputs[1:5])
    if norm.flag("fix_gamma", True):
        gamma = np.ones_like(gamma)
    factor = gamma / np.sqrt(variance + float(norm.attrs.get("eps", 1e-3)))
    return factor, beta - factor * mean


def _fold_forward(layer: Node, factor: np.ndarray, shift: np.ndarray, arrays: Arrays) -> None:
    name = layer.inputs[1].node.name
    weight = arrays[name]
    if layer.op == "FullyConnected":
        channels = weight.reshape(1, len(weight), len(factor), -1)
    else:
        groups = int(layer.attrs.get("num_group", 1))
        channels = weight.reshape(groups, len(weight) // groups, weight.shape[1], -1)
    factor, shift = (values.reshape(len(channels), 1, channels.shape[2], 1) for values in (factor, shift))
    _set_bias(layer, _bias(layer, arrays, len(weight)) + (channels * shift).sum((2, 3)).ravel(), arrays)
    arrays[name] = (channels * factor).reshape(weight.shape)


def _bias(layer: Node, arrays: Arrays, length: int) -> np.ndarray:
    return arrays[layer.inputs[2].node.name] if len(layer.inputs) > 2 else np.zeros(length)


def _set_bias(layer: Node, value: np.ndarray, arrays: Arrays) -> None:
    if len(layer.inputs) < 3:
        name = layer.inputs[1].node.name
        name = (name[: -len("_weight")] if name.endswith("_weight") else name) + "_bias"
        layer.inputs.append(Source(Node("null", name, {})))
        layer.attrs["no_bias"] = "False"
    arrays[layer.inputs[2].node.name] = value
