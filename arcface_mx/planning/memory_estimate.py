"""How much memory a graph would need, as MXNet's own memory planner says.

The graph is bound to arrays that nothing is written to. The operating system gives memory to an array
only when it is written, so this takes milliseconds and address space, but no memory.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, Dict, Iterable, List, Set, Tuple

import numpy as np

if TYPE_CHECKING:
    from mxnet.symbol import Symbol

MEGABYTE = 1 << 20  # the planner reports whole megabytes
BYTES = 4  # of a float32

Arrays = Dict[str, Tuple[Tuple[int, ...], Any]]  # shape and type by name


def planned_bytes(symbol: Symbol, inputs: Iterable[str], **shapes: Tuple[int, ...]) -> int:
    """Return the bytes of activations, their gradients and temporary arrays in training.

    `inputs` are the arguments without a gradient. `shapes` are those that cannot be inferred. The
    parameters are not counted.
    """
    import mxnet as mx

    inputs = set(inputs)
    arguments, states = _shapes_and_types(symbol, inputs, shapes)
    arrays = {name: mx.nd.empty(shape, dtype=dtype) for name, (shape, dtype) in arguments.items()}
    gradients = {name: mx.nd.empty(a.shape, dtype=a.dtype) for name, a in arrays.items() if name not in inputs}
    requests = {name: "write" if name in gradients else "null" for name in arrays}
    auxiliary = {name: mx.nd.empty(shape, dtype=dtype) for name, (shape, dtype) in states.items()}
    executor = symbol.bind(mx.cpu(), arrays, gradients, requests, auxiliary)
    types = {name: array.dtype for name, array in arrays.items()}
    return int(executor_bytes(executor) * _share_of_float32(symbol, types, shapes))


def inference_bytes(symbol: Symbol, **shapes: Tuple[int, ...]) -> int:
    """Return the bytes of activations and temporary arrays of a forward pass alone, in float32."""
    import mxnet as mx

    arguments, states = _shapes_and_types(symbol, set(shapes), shapes)
    arrays, auxiliary = (
        {name: mx.nd.empty(shape, dtype=dtype) for name, (shape, dtype) in group.items()}
        for group in (arguments, states)
    )
    return executor_bytes(symbol.bind(mx.cpu(), arrays, None, "null", auxiliary))


def executor_bytes(executor: Any) -> int:
    """Return the bytes that MXNet's memory planner gave to an executor."""
    return int(re.findall(r"Total (\d+) MB allocated", executor.debug_str())[-1]) * MEGABYTE


def _share_of_float32(symbol: Symbol, types: Dict[str, Any], shapes: Dict[str, Tuple[int, ...]]) -> float:
    """Return the bytes of all layers' outputs, divided by their bytes in float32.

    The planner counts every number as float32.
    """
    internals = symbol.get_internals()
    sizes = [math.prod(shape) for shape in internals.infer_shape(**shapes)[1]]
    bytes_of = [np.dtype(dtype).itemsize for dtype in internals.infer_type(**types)[1]]
    return sum(size * one for size, one in zip(sizes, bytes_of)) / (BYTES * sum(sizes))


def parameter_bytes(symbol: Symbol, inputs: Iterable[str], **shapes: Tuple[int, ...]) -> Tuple[int, int]:
    """Return the bytes of all parameters and auxiliary states, in their own types and if all were float32."""
    inputs = set(inputs)
    arguments, states = _shapes_and_types(symbol, inputs, shapes)
    arrays = [array for name, array in {**arguments, **states}.items() if name not in inputs]
    sizes = [(math.prod(shape), dtype) for shape, dtype in arrays]
    return sum(size * np.dtype(dtype).itemsize for size, dtype in sizes), sum(BYTES * size for size, _ in sizes)


def gradient_bytes(symbol: Symbol, inputs: Iterable[str], **shapes: Tuple[int, ...]) -> List[int]:
    """Return the bytes of the gradient of each parameter."""
    inputs = set(inputs)
    arguments, _ = _shapes_and_types(symbol, inputs, shapes)
    arrays = [array for name, array in arguments.items() if name not in inputs]
    return [math.prod(shape) * np.dtype(dtype).itemsize for shape, dtype in arrays]


def _shapes_and_types(symbol: Symbol, inputs: Set[str], shapes: Dict[str, Tuple[int, ...]]) -> Tuple[Arrays, Arrays]:
    """Return shape and type of each argument and of each auxiliary state. The inputs are float32."""
    names, states = symbol.list_arguments(), symbol.list_auxiliary_states()
    arg_shapes, _, aux_shapes = symbol.infer_shape(**shapes)
    arg_types, _, aux_types = symbol.infer_type_partial(**{name: "float32" for name in names if name in inputs})

    def described(names: List[str], shapes: List[Tuple[int, ...]], types: List[Any]) -> Arrays:
        return {name: (shape, dtype or np.float32) for name, shape, dtype in zip(names, shapes, types)}

    return described(names, arg_shapes, arg_types), described(states, aux_shapes, aux_types)


def line_through(first: Tuple[int, int], second: Tuple[int, int]) -> Tuple[float, float]:
    """Return the value at 0 and the slope of the line through two points (x, value)."""
    slope = (second[1] - first[1]) / (second[0] - first[0])
    return first[1] - slope * first[0], slope
