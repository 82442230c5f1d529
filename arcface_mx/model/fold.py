"""BatchNorm folding: at inference, BatchNorm is a factor and a shift that a neighbour can apply.

With stored statistics, BatchNorm is y = a·x + b with a = γ/√(σ² + ε) and b = β − a·μ.

- After a convolution or fully connected layer W·x + c, it becomes W' = a·W and c' = a·c + b.
- Before a layer without padding, it becomes W' = W·a and c' = c + W·b.
- Before a convolution with padding it stays, because the border is 0 and not b.

Dropout, which does nothing at inference, is removed.
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
    symbol: mx.sym.Symbol, arg_params: Mapping[str, mx.nd.NDArray], aux_params: Mapping[str, mx.nd.NDArray]
) -> Tuple[mx.sym.Symbol, Dict[str, mx.nd.NDArray], Dict[str, mx.nd.NDArray]]:
    """Fold BatchNorm layers into their neighbours.

    Parameters
    ----------
    symbol : Symbol
        The graph. It and the arrays are not changed.
    arg_params, aux_params : dict of str to NDArray
        Its parameters and auxiliary states.

    Returns
    -------
    symbol : Symbol
        A graph with the same output at inference and fewer BatchNorm layers.
    arg_params, aux_params : dict of str to NDArray, float32
        Its parameters and auxiliary states.

    Notes
    -----
    A folded layer takes the name of the BatchNorm after it, so that "fc1" stays the embedding.
    Parameters keep their names; a layer without a bias gets `<layer>_bias`. Folding is computed in
    float64.
    """
    import mxnet as mx

    graph = Graph(symbol)
    arrays = {name: value.asnumpy().astype(np.float64) for name, value in {**arg_params, **aux_params}.items()}
    for node in graph.nodes():
        if node.op == "Dropout":
            graph.replace(node, node.inputs[0])
    for node in graph.nodes():
        if node.op == "BatchNorm" and int(node.attrs.get("axis", 1)) == 1:
            _fold(graph, node, arrays)
    folded = graph.symbol()

    def used(names: List[str]) -> Dict[str, Any]:
        return {name: mx.nd.array(arrays[name].astype(np.float32)) for name in names if name in arrays}

    return folded, used(folded.list_arguments()), used(folded.list_auxiliary_states())


def _fold(graph: Graph, norm: Node, arrays: Arrays) -> None:
    consumers = graph.consumers()
    before = norm.inputs[0].node
    if _is_foldable(before, consumers) and len(consumers[id(before)]) == 1 and not graph.is_head(before):
        factor, shift = _factor_and_shift(norm, arrays)
        name = before.inputs[1].node.name
        arrays[name] = arrays[name] * factor.reshape((-1,) + (1,) * (arrays[name].ndim - 1))
        _set_bias(before, factor * _bias(before, arrays, len(factor)) + shift, arrays)
        graph.replace(norm, Source(before))
        before.name = norm.name
        return
    after = _layer_after(graph, norm, consumers)
    if after is not None:
        _fold_forward(after, *_factor_and_shift(norm, arrays), arrays)
        graph.replace(norm, norm.inputs[0])


def _is_foldable(layer: Node, consumers: Mapping[int, List[Node]]) -> bool:
    """Whether no other layer shares this layer's weights, and their axes are (outputs, inputs…)."""
    if layer.op not in LAYERS or layer.attrs.get("layout", "None") not in ("None", "NCHW"):
        return False
    if layer.op == "FullyConnected" and not layer.flag("flatten", True):
        return False
    return all(source.node.op == "null" and len(consumers[id(source.node)]) == 1 for source in layer.inputs[1:])


def _layer_after(graph: Graph, norm: Node, consumers: Mapping[int, List[Node]]) -> Optional[Node]:
    """Return the only layer after a BatchNorm, or after Flatten, if it has no padding."""
    node = norm
    while True:
        following = consumers.get(id(node), [])
        if len(following) != 1 or graph.is_head(node):
            return None
        node = following[0]
        if node.op != "Flatten":
            break
    if not _is_foldable(node, consumers):
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
