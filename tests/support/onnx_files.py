"""ONNX files made node by node."""

from __future__ import annotations

import hashlib

import numpy as np

from arcface_mx.model import trial


def node(op, inputs, outputs, **attributes):
    from onnx import helper

    domain = attributes.pop("domain", None)
    return helper.make_node(op, inputs, outputs, name=f"node_{outputs[0]}", domain=domain, **attributes)


def model(nodes, arrays, shape=("batch", 3, 8, 8), outputs=(("out", ("batch", 4)),), kind=1, **properties):
    """Return a ModelProto with the input "image"."""
    from onnx import helper, numpy_helper

    graph = helper.make_graph(
        list(nodes),
        "graph",
        [helper.make_tensor_value_info("image", kind, shape)],
        [helper.make_tensor_value_info(name, 1, axes) for name, axes in outputs],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in arrays.items()],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    if properties:
        helper.set_model_props(proto, properties)
    return proto


def projection(seed=0, d=4, size=8):
    """Return nodes and arrays of a flattening and a matrix product."""
    weight = np.random.RandomState(seed).normal(0, 0.1, (3 * size * size, d)).astype(np.float32)
    return [node("Flatten", ["image"], ["flat"]), node("MatMul", ["flat", "weight"], ["out"])], {"weight": weight}


def save(path, proto, tried=True):
    """Write an ONNX file, by default one that is known to need no trial in another process."""
    content = proto if isinstance(proto, bytes) else proto.SerializeToString()
    with open(str(path), "wb") as stream:
        stream.write(content)
    if tried:
        trial._note(trial._onnx_verdict(hashlib.sha256(content).hexdigest(), None))
    return str(path)
