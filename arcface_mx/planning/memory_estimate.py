"""What MXNet would allocate for a graph, from its own memory planner, without touching the memory.

The graph is bound over empty arrays on the CPU: the operating system hands out no page before it is
written, so that this costs address space and milliseconds. The planner reports whole megabytes.
"""

from __future__ import annotations

import math
import re
from typing import Any, Dict, Iterable, Tuple

MEGABYTE = 1 << 20


def planned_bytes(symbol: Any, inputs: Iterable[str], **shapes: Tuple[int, ...]) -> int:
    """Bytes of activations, their gradients and temporaries in training; parameters are not counted.

    inputs: arguments without a gradient; shapes: of those that cannot be inferred.
    """
    import mxnet as mx

    arg_shapes, _, aux_shapes = symbol.infer_shape(**shapes)
    names, without = symbol.list_arguments(), set(inputs)
    arrays = {name: mx.nd.empty(shape) for name, shape in zip(names, arg_shapes)}
    gradients = {name: mx.nd.empty(array.shape) for name, array in arrays.items() if name not in without}
    requests = {name: "null" if name in without else "write" for name in names}
    states = {name: mx.nd.empty(shape) for name, shape in zip(symbol.list_auxiliary_states(), aux_shapes)}
    executor = symbol.bind(mx.cpu(), arrays, gradients, requests, states)
    return int(re.findall(r"Total (\d+) MB allocated", executor.debug_str())[-1]) * MEGABYTE


def line_through(one: Tuple[int, int], two: Tuple[int, int]) -> Tuple[float, float]:
    """(value at 0, slope) of the line through two (place, value) pairs."""
    slope = (two[1] - one[1]) / (two[0] - one[0])
    return one[1] - slope * one[0], slope


def parameter_bytes(symbol: Any, inputs: Iterable[str], **shapes: Tuple[int, ...]) -> Dict[str, int]:
    """float32 bytes of each parameter and auxiliary state, by name."""
    arg_shapes, _, aux_shapes = symbol.infer_shape(**shapes)
    names = list(symbol.list_arguments()) + list(symbol.list_auxiliary_states())
    found = {}
    for name, shape in zip(names, list(arg_shapes) + list(aux_shapes)):
        if name not in set(inputs):
            found[name] = 4 * math.prod(shape)
    return found
