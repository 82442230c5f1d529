"""Where the first value that is not finite stands in a network."""

from __future__ import annotations

import ctypes
from typing import Any, Callable, List

import numpy as np

from arcface_mx.util.mx_module import module_arrays, unfused


def first_bad_layer(module: Any, seed: Callable[[], None]) -> str:
    """Return the first parameter, layer or gradient with a value that is not finite.

    Runs the last forward pass again, on the inputs that are still on the devices, in graphs without
    fused operators. With several processes it needs no other one.

    Parameters
    ----------
    module : Module
        Of no more use for training afterwards.
    seed : callable
        Seeds the random numbers of that forward pass.
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

    executors = [unfused(executor) for executor in arrays.executors]
    seed()
    for executor in executors:
        executor.set_monitor_callback(look)
        executor.forward(is_train=True)
    mx.nd.waitall()
    for name, gradients in zip(reversed(arrays.names), reversed(arrays.gradients)):
        if not bad and any(array is not None and _bad(array) for array in gradients):
            bad.append(f"gradient of {name}")
    return bad[0] if bad else "not seen again: the value changes from run to run"


def _bad(array: Any) -> bool:
    return not np.isfinite(array.asnumpy()).all()
