"""The class centres W: one Variable, "fc7_weight", as wide as the embedding."""

from __future__ import annotations

import ast
import json

import mxnet as mx
from mxnet.symbol import Symbol

from arcface_mx.symbols.checks import check_count

# Operators whose output has the shape of their first input, so that the width can be read there.
SAME_SHAPE = ("BatchNorm", "Dropout", "L2Normalization", "identity", "_copy", "BlockGrad", "amp_cast", "Cast")


def class_centres(embedding: Symbol, num_classes: int, name: str = "fc7_weight") -> Symbol:
    """Create the Variable that holds the class centres.

    Parameters
    ----------
    embedding : Symbol of shape (N, d)
        Embeddings; the width of the centres is read from this graph.
    num_classes : int
        Number of classes n.
    name : str, default="fc7_weight"
        Name of the Variable.

    Returns
    -------
    Symbol of shape (num_classes, d)
        A Variable with its shape and its initialiser, which gives rows of a length near 1.

    Raises
    ------
    ValueError
        If `num_classes` is out of range, or if the width of the embedding cannot be read from its graph.

    Notes
    -----
    The paper does not say how the centres start. The authors' code draws from Normal(0.01), which
    gives rows of length 0.2 at d = 512. The direction of a row turns 1/length² times as fast, so
    short rows change direction abruptly in the first steps. Normal(1/√d) is used here instead.
    MXNet cannot infer d through L2Normalization, so it is read from the graph.
    """
    check_count("num_classes", num_classes)
    width = embedding_width(embedding)
    return mx.sym.Variable(name, shape=(num_classes, width), init=mx.init.Normal(width**-0.5))


def cosines(embedding: Symbol, weight: Symbol, rows: int, name: str = "cosine") -> Symbol:
    """Build the cosines between embeddings (N, d) and centres (rows, d): shape (N, rows), node `name`."""
    x = mx.sym.L2Normalization(embedding, mode="instance", name="unit_embedding")
    W = mx.sym.L2Normalization(weight, mode="instance", name="unit_centres")
    return mx.sym.FullyConnected(x, W, no_bias=True, num_hidden=rows, name=name)


def own_centres(weight: Symbol, label: Symbol) -> Symbol:
    """Build W_y, the centre of each sample's class: shape (N, d), from `weight`, a Variable of shape (n, d).

    The gradient of MXNet's `take` lacks a barrier between samples on GPUs, so that a sample's gradient can
    reach the row of another class. `Embedding` sorts the labels there and adds in a fixed order. It needs
    the shape of the Variable.
    """
    shape = weight.attr("__shape__")
    if shape is None:
        return mx.sym.take(weight, label, axis=0)
    rows, width = ast.literal_eval(shape)
    return mx.sym.Embedding(label, weight, input_dim=rows, output_dim=width)


def add_at_label(logits: Symbol, label: Symbol, change: Symbol, num_classes: int, dtype: str) -> Symbol:
    """Add `change`, shape (N,), to the logit of each sample's class."""
    one_hot = mx.sym.one_hot(label, depth=num_classes, dtype=dtype)
    return logits + mx.sym.broadcast_mul(one_hot, mx.sym.expand_dims(change, axis=1))


def embedding_width(embedding: Symbol) -> int:
    """Read d from an embedding (N, d) that ends in a fully connected layer, or is a Variable with a shape."""
    graph = json.loads(embedding.tojson())
    index = graph["heads"][0][0]
    while True:
        node = graph["nodes"][index]
        attributes = node.get("attrs", {})
        if node["op"] == "FullyConnected":
            return int(attributes["num_hidden"])
        if node["op"] == "null" and "__shape__" in attributes:
            return int(ast.literal_eval(attributes["__shape__"])[-1])
        if node["op"] not in SAME_SHAPE:
            raise ValueError(
                "`weight` must be given, because the width of the embedding cannot be read from node "
                f"{node['name']!r} ({node['op']}): weight=mx.sym.Variable('fc7_weight', shape=(num_classes, d))"
            )
        index = node["inputs"][0][0]
