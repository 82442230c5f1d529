"""The class centres W: one Variable, "fc7_weight", whose width is that of the embedding."""

from __future__ import annotations

import ast
import json

import mxnet as mx
from mxnet.symbol import Symbol

from arcface_mx.symbols.checks import check_count

# Operators that keep (N, d), so that the width can be read from their first input.
SAME_SHAPE = ("BatchNorm", "Dropout", "L2Normalization", "identity", "_copy", "BlockGrad", "amp_cast", "Cast")


def class_centres(embedding: Symbol, num_classes: int, name: str = "fc7_weight") -> Symbol:
    """A new Variable (num_classes, d) for the centres of `embedding` (N, d), rows of length about 1.

    The paper is silent on the start. The authors' code draws from Normal(0.01), rows of length
    0.2 at d = 512; a row's direction turns 1/length² times as fast, so that short ones leap about
    in the first steps. Here: Normal(1/√d). MXNet cannot infer d through L2Normalization, so it is
    read from the embedding's graph (`embedding_width`).
    """
    check_count("num_classes", num_classes)
    width = embedding_width(embedding)
    return mx.sym.Variable(name, shape=(num_classes, width), init=mx.init.Normal(width**-0.5))


def embedding_width(embedding: Symbol) -> int:
    """d of an embedding (N, d) that ends in a fully connected layer, as every backbone here does.

    A Variable made with a shape will do too. Raises ValueError for other graphs: give `weight`.
    """
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
                f"weight: the embedding's width cannot be read from node {node['name']!r} ({node['op']}); give weight=mx.sym.Variable('fc7_weight', shape=(num_classes, embedding_size))"
            )
        index = node["inputs"][0][0]
