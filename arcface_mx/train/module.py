"""An MXNet Module for a training graph: binding, initial values, optimizer, reading its state."""

from __future__ import annotations

import ctypes
import re
from typing import Any, Callable, Dict, List, Optional, Tuple

from arcface_mx.config import TrainConfig
from arcface_mx.losses.training_graph import TrainingGraph, gradient_scale
from arcface_mx.model.backbone import embedding_symbol
from arcface_mx.parallel.centre_module import CentreParallelModule
from arcface_mx.parallel.communicator import Communicator
from arcface_mx.train.schedule import Schedule
from arcface_mx.train.state import RunState
from arcface_mx.util.errors import UserError


def build_module(
    graph: TrainingGraph, config: TrainConfig, contexts: List[Any], communicator: Optional[Communicator] = None
) -> Any:
    """A bound Module over the devices, without parameters yet. communicator: processes over which --parallel centres splits too.

    Raises UserError where the batch cannot be split evenly or --freeze matches nothing.
    """
    import mxnet as mx

    size, side = config.data.batch_size, config.data.image_size
    if config.network.dtype == "float16" and any(context.device_type == "cpu" for context in contexts):
        raise UserError("--dtype float16 needs GPUs: MXNet has no products in half precision on the CPU")
    if size % len(contexts):
        raise UserError(
            f"--batch-size {size} does not split evenly over {len(contexts)} devices; take a multiple of "
            f"{len(contexts)}"
        )
    if config.run.parallel == "centres":
        return _centre_module(graph, config, contexts, communicator)
    if config.loss.sample_rate < 1.0:
        raise UserError(f"--sample-rate {config.loss.sample_rate:g} needs --parallel centres (one device will do)")
    inputs = ["data"] + list(graph.scheduled)
    parameters = [name for name in graph.symbol.list_arguments() if name not in inputs + ["label"]]
    module = mx.mod.Module(
        graph.symbol,
        data_names=inputs,
        label_names=["label"],
        context=contexts,
        fixed_param_names=_matching(config.optimizer.freeze, parameters, "--freeze"),
        logger=_quiet_logger(),
    )
    module.bind(
        data_shapes=[("data", (size, 3, side, side))] + [(name, (size,)) for name in graph.scheduled],
        label_shapes=[("label", (size,))],
        grad_req=_grad_req(config),
    )
    return module


def _centre_module(
    graph: TrainingGraph, config: TrainConfig, contexts: List[Any], communicator: Optional[Communicator]
) -> CentreParallelModule:
    size, side = config.data.batch_size, config.data.image_size
    parameters = [name for name in graph.symbol.list_arguments() if name not in ("data", "label") + graph.scheduled]
    module = CentreParallelModule(
        embedding_symbol(config, training=True),
        config.loss,
        graph.num_classes,
        contexts,
        graph.scheduled,
        _matching(config.optimizer.freeze, parameters, "--freeze"),
        gradient_scale(config),
        communicator,
        logger=_quiet_logger(),
    )
    data_shapes = [("data", (size, 3, side, side))] + [(name, (size,)) for name in graph.scheduled]
    module.bind(data_shapes, [("label", (size,))], grad_req=_grad_req(config))
    return module


def _grad_req(config: TrainConfig) -> str:
    return "add" if config.optimizer.accumulate > 1 else "write"


def weight_sharing_embedder(module: Any, symbol: Any, config: TrainConfig) -> Callable[[Any], Any]:
    """Pixels (B, 3, side, side) → embeddings (B, d), NumPy, by the training module's own arrays, as they
    are at the call; BatchNorm's stored statistics, no dropout. B is the batch size."""
    import mxnet as mx

    module = backbone(module)
    side = config.data.image_size
    shared = mx.mod.Module(
        symbol, data_names=["data"], label_names=None, context=module._context, logger=_quiet_logger()
    )
    shared.bind([("data", (config.data.batch_size, 3, side, side))], for_training=False, shared_module=module)

    def embed(pixels: Any) -> Any:
        shared.forward(mx.io.DataBatch([pixels]), is_train=False)
        return shared.get_outputs()[0].asnumpy()

    return embed


def backbone(module: Any) -> Any:
    """The part of a module that makes embeddings: all that verification needs, and no other process's."""
    return module.body if isinstance(module, CentreParallelModule) else module


def _matching(patterns: Tuple[str, ...], names: List[str], flag: str) -> List[str]:
    found: List[str] = []
    for pattern in patterns:
        try:
            hits = [name for name in names if re.search(pattern, name)]
        except re.error as error:
            raise UserError(f"{flag} {pattern}: not a regular expression ({error})")
        if not hits:
            raise UserError(f"{flag} {pattern}: matches none of the {len(names)} parameters ({names[0]}, …)")
        found += hits
    return sorted(set(found))


def initialise(module: Any, seed: int, arg_params: Dict[str, Any], aux_params: Dict[str, Any]) -> None:
    """Given arrays where there are any, else Xavier (gaussian, fan-out, 2) as in the released code."""
    import mxnet as mx
    import numpy as np

    mx.random.seed(seed)
    np.random.seed(seed)  # MXNet's initialisers draw from both
    initializer = mx.init.Xavier(rnd_type="gaussian", factor_type="out", magnitude=2)
    module.init_params(initializer, arg_params=arg_params, aux_params=aux_params, allow_missing=True, allow_extra=False)


def start_optimizer(module: Any, config: TrainConfig, schedule: Schedule, kvstore: Any) -> None:
    """SGD with momentum on every parameter that is not frozen; gradients are divided by the images a step."""
    options = {
        "learning_rate": schedule.lr,
        "momentum": config.optimizer.momentum,
        "wd": config.optimizer.weight_decay,
        "rescale_grad": 1.0 / schedule.images_a_step / gradient_scale(config),
        "multi_precision": config.network.dtype == "float16",  # float32 copies of weights in half precision
    }
    module.init_optimizer(kvstore=kvstore, optimizer="sgd", optimizer_params=options)
    factors = {}
    for entry in config.optimizer.lr_mult:
        pattern, separator, factor = entry.rpartition("=")
        try:
            value = float(factor)
        except ValueError:
            separator = ""
        if not separator:
            raise UserError(f"--lr-mult {entry}: write REGEX=FACTOR, for example 'stage1=0.1'")
        factors.update({name: value for name in _matching((pattern,), module._param_names, "--lr-mult")})
    if factors:
        module._optimizer.set_lr_mult(factors)


def read_state(module: Any, step: int, best: Dict[str, Any], skipped: int = 0) -> RunState:
    """All that a checkpoint holds, copied to the CPU."""
    import mxnet as mx

    mx.nd.waitall()  # else BatchNorm's moving statistics come out stale
    arg_params, aux_params = module.get_params()
    arg_params, momentum = dict(arg_params), {}
    if isinstance(module, CentreParallelModule):
        momentum, module = module.read_momentum(), module.body
    names, devices = module._param_names, len(module._context)
    for index, state in module._updater.states.items():
        if index % devices == 0 and state is not None:  # every device holds the same
            name = names[index // devices]
            if isinstance(state, tuple):  # of a weight in half precision: momentum, the weight in float32
                state, arg_params[name] = state[0], state[1].as_in_context(mx.cpu())
            if state is not None:
                momentum[name] = state.as_in_context(mx.cpu())
    arg_params = {name: array.astype("float32", copy=False) for name, array in arg_params.items()}
    return RunState(step, arg_params, dict(aux_params), momentum, best, skipped)


def write_momentum(module: Any, momentum: Dict[str, Any], arg_params: Dict[str, Any]) -> None:
    """Put a checkpoint's momentum back, on every device, and the float32 copies of weights in half precision."""
    import numpy as np

    if isinstance(module, CentreParallelModule):
        module.write_momentum(momentum)
        module = module.body
    names, contexts = module._param_names, module._context
    updater = module._updater
    for number, name in enumerate(names):
        if name not in momentum:
            continue
        for device, context in enumerate(contexts):
            index = number * len(contexts) + device
            state = momentum[name].copyto(context)
            half = module._exec_group.param_arrays[number][device].dtype == np.float16
            updater.states[index] = (state, arg_params[name].copyto(context)) if half else state
            updater.states_synced[index] = True


def gradients(module: Any) -> List[Any]:
    """All gradient arrays, of every device."""
    return [array for arrays in module._exec_group.grad_arrays for array in arrays if array is not None]


def auxiliary_arrays(module: Any) -> List[Any]:
    """BatchNorm's statistics, of every device."""
    return [array for arrays in module._exec_group.aux_arrays for array in arrays]


def first_bad_layer(module: Any, forward: Callable[[], None]) -> str:
    """Where the first value that is not finite stands: a parameter, a layer's output, else a gradient.

    `forward` runs the forward pass in question again; the module is of no more use for training.
    """
    import mxnet as mx
    import numpy as np

    def bad(array: Any) -> bool:
        return not np.isfinite(array.asnumpy()).all()

    for name, arrays in zip(module._param_names, module._exec_group.param_arrays):
        if any(map(bad, arrays)):
            return f"parameter {name}"
    found: List[str] = []

    visible = set(module.symbol.get_internals().list_outputs())  # a dropout mask, say, is not

    def look(name: Any, handle: Any) -> None:
        text = name if isinstance(name, str) else name.decode()
        array = mx.nd.NDArray(ctypes.cast(handle, mx.base.NDArrayHandle), writable=False)
        if not found and text in visible and bad(array):
            found.append(f"output of {text[: -len('_output')]}" if text.endswith("_output") else text)

    for executor in module._exec_group.execs:
        executor.set_monitor_callback(look)
    forward()
    mx.nd.waitall()
    for name, arrays in zip(reversed(module._param_names), reversed(module._exec_group.grad_arrays)):
        if not found and any(array is not None and bad(array) for array in arrays):
            found.append(f"gradient of {name}")
    return found[0] if found else "not found again: a value that changes from run to run"


def clear_gradients(module: Any) -> None:
    """Zero the gradients that `--accumulate` adds up."""
    for arrays in module._exec_group.grad_arrays:
        for array in arrays:
            if array is not None:
                array[:] = 0


def _quiet_logger() -> Any:
    import logging

    logger = logging.getLogger("arcface_mx.module")
    logger.setLevel(logging.ERROR)
    return logger
