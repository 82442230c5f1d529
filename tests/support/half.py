"""Runs in half precision on a CPU, where MXNet has no convolutions and fully connected layers of that type."""

from __future__ import annotations

import dataclasses

from arcface_mx.model import backbone
from arcface_mx.model.nodes import Graph, Node, Source
from arcface_mx.util.devices import device_settings

FLOAT16 = "2"  # MXNet's number of the type, for an attribute of a variable


def emulate(monkeypatch):
    """Let runs with `dtype` float16 train on CPUs with the settings of GPUs."""
    real = backbone.Backbone.symbol

    def symbol(self, training=False):
        graph = real(self, training)
        return products_in_single(graph) if training and self.half_precision else graph

    settings = dataclasses.replace(device_settings("gpu(0)"), variables=())
    monkeypatch.setattr(backbone, "device_settings", lambda _: settings)
    monkeypatch.setattr(backbone.Backbone, "symbol", symbol)


def products_in_single(symbol):
    """Return a network whose products read and give float16 and add in float32, as tensor cores do."""
    graph = Graph(symbol)

    def cast(source, name, dtype):
        node = Node("Cast", name, {"dtype": dtype})
        node.inputs = [source]
        return Source(node)

    for node in [node for node in graph.nodes() if node.op in ("Convolution", "FullyConnected")]:
        for number, source in enumerate(node.inputs):
            if source.node.op == "null":
                source.node.attrs["__dtype__"] = FLOAT16
            node.inputs[number] = cast(source, f"{node.name}_single{number}", "float32")
        rounded = cast(Source(node), f"{node.name}_half", "float16")
        graph.replace(node, rounded)
        rounded.node.inputs[0] = Source(node)  # `replace` has changed it too
    return graph.symbol()
