"""The private parts of MXNet's Module that training needs. No other file may touch them.

Written for MXNet 1.9.1; `tests/util/test_mx_module.py` fails if another version has other names.
A module of our own (`parallel/centre_module.py`) offers the same through public methods.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Dict, List, Tuple

MXNET_VERSION = "1.9.1"


@dataclass(frozen=True)
class ModuleArrays:
    """The arrays of a bound module, on its devices.

    Attributes
    ----------
    names : list of str
        Names of the parameters.
    parameters, gradients : list of list of NDArray
        For each parameter its array on each device; a gradient is None if the parameter is fixed.
    auxiliary : list of list of NDArray
        For each auxiliary state its array on each device.
    executors : list of Executor
        One a device.
    """

    names: List[str]
    parameters: List[List[Any]]
    gradients: List[List[Any]]
    auxiliary: List[List[Any]]
    executors: List[Any]


def module_arrays(module: Any) -> ModuleArrays:
    """Return the arrays of a bound Module or CentreParallelModule."""
    if hasattr(module, "arrays"):
        return module.arrays()
    group = module._exec_group
    return ModuleArrays(list(module._param_names), group.param_arrays, group.grad_arrays, group.aux_arrays, group.execs)


def module_contexts(module: Any) -> List[Any]:
    """Return the devices of a module."""
    return list(module._context)


def batch_slices(module: Any) -> List[slice]:
    """Return which rows of a batch each device of a bound Module gets."""
    return list(module._exec_group.slices)


def read_parameters(module: Any) -> Tuple[Dict[str, Any], Dict[str, Any]]:
    """Return the parameters of a Module on its first device, and the mean of its auxiliary states, on the CPU.

    They are those after the last update. The parameters are the same on all devices. `Module.get_params`
    takes their mean too, which in float32 can differ from them if there are 3 devices, or 5 and more.
    """
    if module._params_dirty:
        group = module._exec_group
        for name, copies in zip(module._param_names, group.param_arrays):
            copies[0].copyto(module._arg_params[name])
        for name, copies in zip(module._aux_names, group.aux_arrays):
            mean = sum(array.as_in_context(module._aux_params[name].context) for array in copies) / len(copies)
            mean.copyto(module._aux_params[name])
        module._params_dirty = False
    return dict(module._arg_params), dict(module._aux_params)


def statistics_of_devices(module: Any) -> List[Dict[str, Any]]:
    """Return the auxiliary states by name on each device of a Module or CentreParallelModule."""
    return [dict(executor.aux_dict) for executor in module_arrays(module).executors]


def unfused(executor: Any) -> Any:
    """Return an executor of the same graph and arrays, without gradients, in which no operators are fused."""
    name = "MXNET_USE_FUSION"  # read when a graph is bound
    before = os.environ.get(name)
    os.environ[name] = "0"
    try:
        return executor._symbol.bind(executor._ctx, executor.arg_arrays, None, "null", executor.aux_arrays)
    finally:
        del os.environ[name]
        if before is not None:
            os.environ[name] = before


def all_reduce_gradients(module: Any) -> None:
    """Sum the gradients of a Module over its devices and over all processes, in place. Does not wait."""
    group = module._exec_group
    for number, (name, gradients) in enumerate(zip(module._param_names, group.grad_arrays)):
        if module._kvstore and gradients[0] is not None:
            module._kvstore.pushpull(name, gradients, priority=-number)


def update_with_sums(module: Any, data_parallel: Any) -> None:
    """Make an optimizer step after `all_reduce_gradients`. `Module.update` alone would sum the gradients once more.

    `data_parallel` is the Module in `module` that has the key-value store, or `module` itself.
    """
    store, data_parallel._kvstore = data_parallel._kvstore, None
    try:
        module.update()
    finally:
        data_parallel._kvstore = store


def set_gradient_factor(data_parallel: Any, factor: float) -> None:
    """Set the factor on all gradients of the optimizer of a Module."""
    data_parallel._optimizer.rescale_grad = factor


def updater_names(module: Any) -> Dict[int, str]:
    """Return the parameter behind each index that the updater uses: number × devices + device."""
    devices = len(module._context)
    return {
        number * devices + device: name for number, name in enumerate(module._param_names) for device in range(devices)
    }


def updater_states(module: Any) -> Dict[int, Any]:
    """Return the optimizer's state of each index of `updater_names`; None before the first update."""
    return module._updater.states


def set_updater_state(module: Any, index: int, state: Any) -> None:
    """Set the optimizer's state of an index."""
    module._updater.states[index] = state
    module._updater.states_synced[index] = True
