"""Where the first value that is not finite stands in a network."""

from __future__ import annotations

import ctypes
from typing import Any, Callable, List

import numpy as np

from arcface_mx.util.mx_module import module_arrays


def first_bad_layer(module: Any, forward: Callable[[], None]) -> str:
    """Return the first parameter, layer or gradient with a value that is not finite.

    Parameters
    ----------
    module : Module
        Of no more use for training afterwards.
    forward : callable
        Runs the forward pass in question again.
    """
    import mxnet as mx

    arrays = module_arrays(module)
    for name, copies in zip(arrays.names, arrays.parameters):
        if any(map(_bad, copies)):
            return f"parameter {name}"
    bad: List[str] = []
    visible = set(module.symbol.get_internals().list_outputs())  # leaves out dropout masks

    def look(name: Any, handle: Any) -> None:
        text = name if isinstance(name, str) else name.decode()
        array = mx.nd.NDArray(ctypes.cast(handle, mx.base.NDArrayHandle), writable=False)
        if not bad and text in visible and _bad(array):
            bad.append(f"output of {text[: -len('_output')]}" if text.endswith("_output") else text)

    for executor in arrays.executors:
        executor.set_monitor_callback(look)
    forward()
    mx.nd.waitall()
    for name, gradients in zip(reversed(arrays.names), reversed(arrays.gradients)):
        if not bad and any(array is not None and _bad(array) for array in gradients):
            bad.append(f"gradient of {name}")
    return bad[0] if bad else "not seen again: the value changes from run to run"


def _bad(array: Any) -> bool:
    return not np.isfinite(array.asnumpy()).all()
