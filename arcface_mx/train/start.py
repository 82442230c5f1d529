"""Where a run's first state comes from: its own checkpoint, --init, or nothing."""

from __future__ import annotations

import math
from typing import Any, Dict, List, Tuple

from arcface_mx.config import TrainConfig
from arcface_mx.losses.losses import CENTRES
from arcface_mx.model.backbone import embedding_symbol
from arcface_mx.train import checkpoint
from arcface_mx.train.mean_centres import mean_centres
from arcface_mx.train.state import RunState
from arcface_mx.util.errors import UserError


def starting_state(config: TrainConfig, num_classes: int, contexts: List[Any]) -> Tuple[RunState, str]:
    """The state to start from and one line that says which it is.

    In this order: the newest checkpoint of the run folder, --init (weights only), from scratch.
    num_classes, contexts: of --init-centres mean, which embeds the training photos.
    """
    state = checkpoint.resume(config.run.run)
    if state:
        return state, f"{checkpoint.checkpoint_path(config.run.run, state.step)}, step {state.step}"
    if config.run.init:
        arg_params, aux_params, text = initial_weights(config)
        if config.run.init_centres == "mean":
            arg_params[CENTRES] = mean_centres(config, num_classes, dict(arg_params, **aux_params), contexts)
            text += "; class centres: the mean embedding of each person"
        return RunState(0, arg_params, aux_params, {}, {}), text
    return RunState(0, {}, {}, {}, {}), f"from scratch, seed {config.run.seed}"


def initial_weights(config: TrainConfig) -> Tuple[Dict[str, Any], Dict[str, Any], str]:
    """Weights of --init that fit this network; the rest is created anew, and the line says what.

    Raises UserError where nothing fits or a shape differs.
    """
    from arcface_mx.model.load import locate, read_parameters

    symbol_path, params_path = locate(config.run.init)
    given_arg, given_aux = read_parameters(params_path, symbol_path)
    symbol = embedding_symbol(config, training=True)
    side = config.data.image_size
    arg_shapes, _, aux_shapes = symbol.infer_shape(data=(1, 3, side, side))
    wanted_arg = dict(zip(symbol.list_arguments(), arg_shapes))
    wanted_aux = dict(zip(symbol.list_auxiliary_states(), aux_shapes))
    wanted_arg.pop("data")
    arg_params = _fitting(given_arg, wanted_arg, config.run.init)
    aux_params = _fitting(given_aux, wanted_aux, config.run.init)
    if not arg_params:
        raise UserError(
            f"--init {config.run.init}: none of its arrays has a name of {config.network.network}; --network init takes its own graph"
        )
    created = sorted(set(wanted_arg) - set(arg_params)) + (
        ["class centres"] if config.run.init_centres == "random" else []
    )
    left = sorted((set(given_arg) | set(given_aux)) - set(wanted_arg) - set(wanted_aux))
    text = (
        f"weights of {config.run.init}: {len(arg_params) + len(aux_params)} arrays loaded, created "
        f"anew: {_some(created)}, left out: {_some(left)}"
    )
    return arg_params, aux_params, text


def _fitting(given: Dict[str, Any], wanted: Dict[str, Tuple[int, ...]], source: str) -> Dict[str, Any]:
    found = {}
    for name, shape in wanted.items():
        if name not in given:
            continue
        array = given[name]
        # Exported PReLU slopes are (C,), the training form takes (C,1,1,1): the same numbers.
        if array.shape != shape and array.size == math.prod(shape) and array.shape == shape[:1]:
            array = array.reshape(shape)
        if array.shape != shape:
            raise UserError(
                f"--init {source}: {name} is {array.shape} there, this network needs {shape}; give the same --network, --width, --embedding-size and --image-size, or --network init, its own graph"
            )
        found[name] = array
    return found


def _some(names: Any, most: int = 4) -> str:
    names = list(names)
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "") or "nothing"
