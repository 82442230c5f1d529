"""The MXNet Module of a run: binding, initial values, optimizer, and its state as a checkpoint holds it."""

from __future__ import annotations

import logging
import re
import warnings
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Optional, Tuple

import numpy as np

from arcface_mx.losses.graph import LOSS_SCALE
from arcface_mx.parallel.centre_module import CentreParallelModule
from arcface_mx.train.loss_scale import LossScale
from arcface_mx.train.schedule import Schedule
from arcface_mx.train.state import RunState
from arcface_mx.util.errors import UserError
from arcface_mx.util.mx_module import (
    module_arrays,
    module_contexts,
    read_parameters,
    set_updater_state,
    statistics_of_devices,
    updater_names,
    updater_states,
)

if TYPE_CHECKING:
    from arcface_mx.train.resolve import Run


def build_module(run: Run) -> Any:
    """Return a bound Module over the devices, without parameters yet.

    Raises
    ------
    UserError
        If the batch cannot be split evenly or `freeze` matches no parameter.
    """
    import mxnet as mx

    contexts, size = run.contexts, run.batch_size
    if run.backbone.half_precision and not run.backbone.settings.half_products:
        raise UserError("`dtype` float16 needs GPUs: MXNet has no products in half precision on the CPU")
    if size % len(contexts):
        raise UserError(f"`batch_size` must be a multiple of the {len(contexts)} devices, got {size}")
    inputs = ["data", *run.graph.scheduled]
    parameters = [name for name in run.graph.symbol.list_arguments() if name not in [*inputs, "label"]]
    fixed = _matching(run.optimizer.freeze, parameters, "freeze")
    module: Any
    label_type = "float32"  # of the graph's input; a GPU refuses a copy of another type from the CPU
    if run.options.parallel == "centres":
        label_type = "int32"  # numbered on each device, so that a run may have more than 2²⁴ classes
        module = CentreParallelModule(
            run.backbone.symbol(training=True),
            run.loss,
            run.graph.num_classes,
            contexts,
            fixed_param_names=fixed,
            scaled=run.graph.scaled,
            communicator=run.worker.communicator,
        )
    else:
        module = mx.mod.Module(
            run.graph.symbol, inputs, ["label"], context=contexts, fixed_param_names=fixed, logger=_quiet_logger()
        )
    module.bind(
        data_shapes=[("data", (size, *run.backbone.input_shape))] + [(name, (size,)) for name in run.graph.scheduled],
        label_shapes=[mx.io.DataDesc("label", (size,), label_type)],
        grad_req="add" if run.optimizer.accumulate > 1 else "write",
    )
    return module


def batch_inputs(
    run: Run, module: Any, pixels: Any, labels: np.ndarray, step: int, loss_scale: Optional[LossScale] = None
) -> Any:
    """Return a DataBatch of pixels, labels and the inputs that the loss schedules for a step."""
    import mxnet as mx

    scalars = run.loss.scheduled(step, run.schedule.steps, run.schedule.factor)
    if loss_scale:
        scalars[LOSS_SCALE] = loss_scale.value / run.schedule.images_a_step
    extra = [mx.nd.full((len(labels),), scalars[name]) for name in run.graph.scheduled]
    label = mx.nd.array(labels, dtype=module.label_shapes[0].dtype)
    return mx.io.DataBatch(data=[pixels, *extra], label=[label])


def weight_sharing_embedder(module: Any, run: Run) -> Callable[[Any], np.ndarray]:
    """Return a function from pixels to embeddings by the present weights of the training module.

    It takes an NDArray of shape (batch_size, 3, side, side) and returns an ndarray of shape
    (batch_size, d). BatchNorm uses its stored statistics, and there is no dropout.
    """
    import mxnet as mx

    module = embedding_module(module)
    symbol = run.backbone.symbol(training=True)
    shared = mx.mod.Module(symbol, ["data"], None, context=module_contexts(module), logger=_quiet_logger())
    shapes = [("data", (run.batch_size, *run.backbone.input_shape))]
    shared.bind(shapes, for_training=False, shared_module=module)

    def embed(pixels: Any) -> np.ndarray:
        shared.forward(mx.io.DataBatch([pixels]), is_train=False)
        return shared.get_outputs()[0].asnumpy()

    return embed


def embedding_module(module: Any) -> Any:
    """Return the part of a module that makes embeddings."""
    return module.body if isinstance(module, CentreParallelModule) else module


def _matching(patterns: Tuple[str, ...], names: List[str], argument: str) -> List[str]:
    """Return the names that any of the regular expressions matches."""
    matches: List[str] = []
    for pattern in patterns:
        try:
            hits = [name for name in names if re.search(pattern, name)]
        except re.error as error:
            raise UserError(f"`{argument}` {pattern}: not a regular expression ({error})")
        if not hits:
            raise UserError(f"`{argument}` {pattern}: matches none of the {len(names)} parameters ({names[0]}, …)")
        matches += hits
    return sorted(set(matches))


def initialise(module: Any, seed: int, arg_params: Dict[str, Any], aux_params: Dict[str, Any]) -> None:
    """Set the given arrays; draw the others by Xavier (Gaussian, fan-out, magnitude 2), as the released code does."""
    import mxnet as mx

    mx.random.seed(seed)
    np.random.seed(seed)  # MXNet's initialisers draw from both
    initializer = mx.init.Xavier(rnd_type="gaussian", factor_type="out", magnitude=2)
    module.init_params(initializer, arg_params=arg_params, aux_params=aux_params, allow_missing=True, allow_extra=False)


def start_optimizer(module: Any, run: Run) -> Any:
    """Install SGD with momentum on every parameter that is not fixed; return its learning rate scheduler.

    Gradients are divided by the images a step. Before each update the trainer sets the scheduler's
    `step` and, in half precision, the divisor.
    """
    import mxnet as mx

    scheduler = make_scheduler(run.schedule)
    names = module.updater_names() if hasattr(module, "updater_names") else updater_names(module)
    optimizer = mx.optimizer.create(
        "sgd",
        sym=module.symbol,
        param_idx2name=names,
        learning_rate=run.schedule.lr,
        lr_scheduler=scheduler,
        momentum=run.optimizer.momentum,
        wd=run.optimizer.weight_decay,
        rescale_grad=1.0 / run.schedule.images_a_step,
        multi_precision=run.backbone.half_precision,  # float32 copies of weights in half precision
    )
    if run.optimizer.decay_all:
        optimizer.set_wd_mult({name: 1.0 for name in names.values()})
    factors = _learning_rate_factors(run.optimizer.lr_mult, sorted(set(names.values())))
    if factors:
        optimizer.set_lr_mult(factors)
    with warnings.catch_warnings():  # Module does not know that the images of all workers are counted
        warnings.simplefilter("ignore")
        module.init_optimizer(kvstore=run.worker.kvstore, optimizer=optimizer)
    return scheduler


def make_scheduler(schedule: Schedule) -> Any:
    """Return an MXNet learning rate scheduler that follows the run's clock, not the count of updates."""
    import mxnet as mx

    class StepScheduler(mx.lr_scheduler.LRScheduler):
        step = 0  # set by the trainer: a skipped step counts too

        def __call__(self, num_update: int) -> float:
            return schedule.lr_at(self.step)

    return StepScheduler(base_lr=schedule.lr)


def _learning_rate_factors(entries: Tuple[str, ...], names: List[str]) -> Dict[str, float]:
    factors = {}
    for entry in entries:
        pattern, separator, factor = entry.rpartition("=")
        try:
            value = float(factor)
        except ValueError:
            separator = ""
        if not separator:
            raise UserError(f"`lr_mult` {entry}: write REGEX=FACTOR, for example 'stage1=0.1'")
        factors.update({name: value for name in _matching((pattern,), names, "lr_mult")})
    return factors


def read_state(
    module: Any, step: int, best: Dict[str, Any], skipped: int = 0, loss_scale: Optional[LossScale] = None
) -> RunState:
    """Return all that a checkpoint holds, copied to the CPU."""
    import mxnet as mx

    mx.nd.waitall()  # else BatchNorm's moving statistics come out stale
    momentum: Dict[str, Any] = {}
    if isinstance(module, CentreParallelModule):
        arg_params, aux_params = module.get_params()
        momentum, module = module.read_momentum(), module.body
    else:
        arg_params, aux_params = read_parameters(module)
    states = updater_states(module)
    for index, name in updater_names(module).items():
        state = states.get(index)
        if name in momentum or state is None:  # every device holds the same
            continue
        if isinstance(state, tuple):  # of a weight in half precision: momentum, the weight in float32
            state, arg_params[name] = state[0], state[1].as_in_context(mx.cpu())
        if state is not None:
            momentum[name] = state.as_in_context(mx.cpu())
    arg_params = {name: array.astype("float32", copy=False) for name, array in arg_params.items()}
    scale = loss_scale.state() if loss_scale else {}
    return RunState(step, arg_params, aux_params, momentum, best, skipped, scale, _statistics(module))


def _statistics(module: Any) -> List[Dict[str, Any]]:
    """Return BatchNorm's statistics of each device, copied to the CPU; nothing for one device."""
    import mxnet as mx

    devices = statistics_of_devices(module)
    return [{name: array.copyto(mx.cpu()) for name, array in arrays.items()} for arrays in devices[1:] and devices]


def write_statistics(module: Any, device_statistics: List[Dict[str, Any]]) -> None:
    """Put BatchNorm's statistics back on the devices they came from. With another number of devices the mean stays."""
    copies = statistics_of_devices(module)
    if len(copies) == len(device_statistics):
        for arrays, saved in zip(copies, device_statistics):
            for name, array in arrays.items():
                saved[name].copyto(array)


def write_momentum(module: Any, momentum: Dict[str, Any], arg_params: Dict[str, Any]) -> None:
    """Put a checkpoint's momentum back on every device, and the float32 copies of weights in half precision."""
    if isinstance(module, CentreParallelModule):
        module.write_momentum(momentum)
        module = module.body
    arrays, contexts = module_arrays(module), module_contexts(module)
    parameters = dict(zip(arrays.names, arrays.parameters))
    for index, name in updater_names(module).items():
        if name not in momentum:
            continue
        device = index % len(contexts)
        state = momentum[name].copyto(contexts[device])
        half = parameters[name][device].dtype == np.float16
        set_updater_state(module, index, (state, arg_params[name].copyto(contexts[device])) if half else state)


def clear_gradients(module: Any) -> None:
    """Set the gradients to zero that `accumulate` adds up."""
    for arrays in module_arrays(module).gradients:
        for array in arrays:
            if array is not None:
                array[:] = 0


def _quiet_logger() -> logging.Logger:
    logger = logging.getLogger("arcface_mx.module")
    logger.setLevel(logging.ERROR)
    return logger
