"""Floating point operations of a graph: convolutions and fully connected layers, two a product and sum."""

from __future__ import annotations

import ast
import json
from typing import Any

import numpy as np


def gflop_an_image(symbol: Any, side: int) -> float:
    """Forward pass of `symbol` (input "data") on one image, in 1e9 operations."""
    internals = symbol.get_internals()
    arguments = {"data": (1, 3, side, side)}
    _, outputs, _ = internals.infer_shape(**arguments)
    shapes = dict(zip(internals.list_outputs(), outputs))
    nodes = json.loads(symbol.tojson())["nodes"]
    total = 0.0
    for node in nodes:
        if node["op"] in ("Convolution", "FullyConnected"):
            weight = nodes[node["inputs"][1][0]]
            shape = shapes[weight["name"]] if weight["op"] == "null" else _kernel(node, shapes)
            total += 2.0 * np.prod(shapes[node["name"] + "_output"]) * np.prod(shape[1:])
    return total / 1e9


def _kernel(node: Any, shapes: Any) -> Any:
    """Shape of a depthwise kernel that is computed in the graph (PReLU's slopes)."""
    return (1, 1) + ast.literal_eval(node["attrs"]["kernel"])
