"""The first state of a run: its own checkpoint, the weights of `init`, or nothing."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Dict, Iterable, Tuple

from arcface_mx.losses.base import CENTRES
from arcface_mx.model.backbone import Backbone
from arcface_mx.train import checkpoint
from arcface_mx.train.init_centres import mean_centres
from arcface_mx.train.state import RunState
from arcface_mx.util.errors import UserError

if TYPE_CHECKING:
    from arcface_mx.train.resolve import Run


def starting_state(run: Run) -> Tuple[RunState, str]:
    """Return the state to start from, and one line that says which it is.

    The latest checkpoint of the run folder comes first, then the weights of `init`, then a start from
    scratch.
    """
    state = checkpoint.resume(run.folder.path)
    if state:
        state = _in_shapes(state, run.backbone.training_shapes())
        return state, f"{checkpoint.checkpoint_path(run.folder.path, state.step)}, step {state.step}"
    if run.options.init:
        arg_params, aux_params, text = initial_weights(run.backbone, run.options.init, run.options.init_centres)
        if run.options.init_centres == "mean":
            weights = dict(arg_params, **aux_params)
            arg_params[CENTRES] = mean_centres(run.backbone, run.index, weights, run.contexts, run.options.init)
            text += "; class centres: the mean embedding of each identity"
        return RunState(0, arg_params, aux_params, {}, {}), text
    return RunState(0, {}, {}, {}, {}), f"from scratch, seed {run.options.seed}"


def _in_shapes(state: RunState, shapes: Dict[str, Tuple[int, ...]]) -> RunState:
    """Return a state with the PReLU slopes, and their momentum, in the shapes of this run's kind of device."""

    def shaped(arrays: Dict[str, Any]) -> Dict[str, Any]:
        return {name: _in_shape(array, shapes.get(name, array.shape)) for name, array in arrays.items()}

    return dataclasses.replace(state, arg_params=shaped(state.arg_params), momentum=shaped(state.momentum))


def _in_shape(array: Any, shape: Tuple[int, ...]) -> Any:
    """Return PReLU slopes in another form: (C,) in the standard operator, (C, 1, 1, 1) in the fast one."""
    slopes = {shape, array.shape} == {shape[:1], (*shape[:1], 1, 1, 1)}
    return array.reshape(shape) if slopes else array


def initial_weights(
    backbone: Backbone, init: str, init_centres: str = "random"
) -> Tuple[Dict[str, Any], Dict[str, Any], str]:
    """Return the weights of a model that fit a backbone, and a line that says what is created anew.

    Raises
    ------
    UserError
        If no array fits or a shape differs.
    """
    from arcface_mx.model.load import locate, read_parameters

    symbol_path, params_path = locate(init)
    model_arg, model_aux = read_parameters(params_path, symbol_path)
    states = backbone.symbol(training=True).list_auxiliary_states()
    shapes = backbone.training_shapes()
    wanted_aux = {name: shapes.pop(name) for name in states}
    wanted_arg = shapes
    arg_params = _fitting(model_arg, wanted_arg, init)
    aux_params = _fitting(model_aux, wanted_aux, init)
    if not arg_params:
        network = backbone.network.network
        raise UserError(
            f"`init` {init}: none of its arrays has a name of {network}; `network` init takes its own graph"
        )
    created = sorted(set(wanted_arg) - set(arg_params)) + (["class centres"] if init_centres == "random" else [])
    unused = sorted((set(model_arg) | set(model_aux)) - set(wanted_arg) - set(wanted_aux))
    text = (
        f"weights of {init}: {len(arg_params) + len(aux_params)} arrays loaded, created anew: {_listed(created)}, "
        f"not used: {_listed(unused)}"
    )
    return arg_params, aux_params, text


def _fitting(arrays: Dict[str, Any], wanted: Dict[str, Tuple[int, ...]], source: str) -> Dict[str, Any]:
    fitting = {}
    for name, shape in wanted.items():
        if name not in arrays:
            continue
        array = _in_shape(arrays[name], shape)
        if array.shape != shape:
            raise UserError(
                f"`init` {source}: {name} is {array.shape} there, this network needs {shape}; give the same `network`, "
                "`width`, `embedding_size` and `image_size`, or `network` init, its own graph"
            )
        fitting[name] = array
    return fitting


def _listed(names: Iterable[str], limit: int = 4) -> str:
    names = list(names)
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more or "nothing"
