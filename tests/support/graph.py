"""Run a Symbol: inputs in, outputs and gradients out.

The environment variables ARCFACE_TEST_CONTEXT ("cpu", "cpu(1)", "gpu(0)") and ARCFACE_TEST_DTYPE
("float32", "float64", or both with a comma) choose the device and the data types of the tests. The
defaults are cpu and both types.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from typing import Dict, List, Optional, Sequence, Tuple

import mxnet as mx
import numpy as np
from mxnet.symbol import Symbol

DTYPES = os.environ.get("ARCFACE_TEST_DTYPE", "float32,float64").split(",")

# Tolerance relative to the largest value compared, for quantities that are well conditioned.
TOLERANCE = {"float32": 2e-5, "float64": 1e-10}


def context() -> mx.Context:
    name, _, rest = os.environ.get("ARCFACE_TEST_CONTEXT", "cpu").partition("(")
    return mx.Context(name, int(rest.rstrip(")") or 0))


def run(
    symbol: Symbol,
    inputs: Dict[str, np.ndarray],
    dtype: str = "float32",
    cotangent: Optional[np.ndarray] = None,
    train: bool = True,
    aux: Optional[Dict[str, np.ndarray]] = None,
) -> Tuple[List[np.ndarray], Dict[str, np.ndarray]]:
    """Return all outputs, and the gradients of sum(cotangent·first output); `cotangent` is 1 by default.

    The input "label" is float32 and gets no gradient; everything else is of type `dtype`.
    """
    types = {name: ("float32" if name == "label" else dtype) for name in symbol.list_arguments()}
    requests = {name: ("null" if name == "label" else "write") for name in symbol.list_arguments()}
    shapes = {name: np.shape(inputs[name]) for name in symbol.list_arguments()}
    all_types = {**types, **{name: dtype for name in symbol.list_auxiliary_states()}}
    executor = symbol.simple_bind(context(), grad_req=requests, type_dict=all_types, **shapes)
    for name in symbol.list_arguments():
        executor.arg_dict[name][:] = mx.nd.array(inputs[name], dtype=types[name])
    for name, value in (aux or {}).items():
        executor.aux_dict[name][:] = mx.nd.array(value, dtype=dtype)
    outputs = [output.asnumpy() for output in executor.forward(is_train=train)]
    if not train:
        return outputs, {}
    heads = [np.ones(outputs[0].shape) if cotangent is None else cotangent]
    heads += [np.zeros(output.shape) for output in outputs[1:]]
    executor.backward([mx.nd.array(head, ctx=context(), dtype=out.dtype) for head, out in zip(heads, outputs)])
    gradients = {
        name: value.asnumpy() for name, value in executor.grad_dict.items() if value is not None and name != "label"
    }
    return outputs, gradients


def assert_close(actual: np.ndarray, expected: np.ndarray, tolerance: float, what: str = "") -> None:
    """The largest difference is at most `tolerance` times the largest expected value, or times 1."""
    assert actual.shape == expected.shape, what
    limit = tolerance * max(1.0, float(np.max(np.abs(expected), initial=0.0)))
    error = float(np.max(np.abs(actual - expected), initial=0.0))
    assert error <= limit, f"{what}: differs by {error:g}, limit {limit:g}"


def operators(symbol: Symbol) -> List[Tuple[str, Dict[str, str]]]:
    """Return the operators of a graph with their attributes, in the order of its JSON."""
    nodes = json.loads(symbol.tojson())["nodes"]
    return [(node["op"], node.get("attrs", {})) for node in nodes if node["op"] != "null"]


def executed(symbol: Symbol, inputs: Sequence[str], **shapes: Tuple[int, ...]) -> Counter:
    """The operators of a training step, backward pass included, with their number; `inputs` get no gradient."""
    requests = {name: "null" if name in inputs else "write" for name in symbol.list_arguments()}
    executor = symbol.simple_bind(context(), grad_req=requests, **shapes)
    return Counter(re.findall(r"Op:(\S+), Name=", executor.debug_str()))
