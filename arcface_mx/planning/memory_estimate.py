"""How much memory a graph would need, as MXNet's own memory planner says.

The graph is bound to arrays that nothing is written to. The operating system gives memory to an array
only when it is written, so this takes milliseconds and address space, but no memory.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Iterable, Tuple

if TYPE_CHECKING:
    from mxnet.symbol import Symbol

MEGABYTE = 1 << 20  # the planner reports whole megabytes
BYTES = 4  # of a float32


def planned_bytes(symbol: Symbol, inputs: Iterable[str], **shapes: Tuple[int, ...]) -> int:
    """Return the bytes of activations, their gradients and temporary arrays in training.

    `inputs` are the arguments without a gradient. `shapes` are those that cannot be inferred. The
    parameters are not counted.
    """
    import mxnet as mx

    arg_shapes, _, aux_shapes = symbol.infer_shape(**shapes)
    names, inputs = symbol.list_arguments(), set(inputs)
    arrays = {name: mx.nd.empty(shape) for name, shape in zip(names, arg_shapes)}
    gradients = {name: mx.nd.empty(array.shape) for name, array in arrays.items() if name not in inputs}
    requests = {name: "write" if name in gradients else "null" for name in names}
    states = {name: mx.nd.empty(shape) for name, shape in zip(symbol.list_auxiliary_states(), aux_shapes)}
    executor = symbol.bind(mx.cpu(), arrays, gradients, requests, states)
    return int(re.findall(r"Total (\d+) MB allocated", executor.debug_str())[-1]) * MEGABYTE


def parameter_bytes(symbol: Symbol, inputs: Iterable[str], **shapes: Tuple[int, ...]) -> int:
    """Return the bytes of all float32 parameters and auxiliary states, that is, of all but the inputs."""
    arg_shapes, _, aux_shapes = symbol.infer_shape(**shapes)
    names = [*symbol.list_arguments(), *symbol.list_auxiliary_states()]
    inputs = set(inputs)
    return sum(BYTES * math.prod(shape) for name, shape in zip(names, [*arg_shapes, *aux_shapes]) if name not in inputs)


def line_through(first: Tuple[int, int], second: Tuple[int, int]) -> Tuple[float, float]:
    """Return the value at 0 and the slope of the line through two points (x, value)."""
    slope = (second[1] - first[1]) / (second[0] - first[0])
    return first[1] - slope * first[0], slope
