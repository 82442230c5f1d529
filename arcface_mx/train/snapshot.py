"""The network of a run at any checkpoint: the last one, the best one, or that of a step."""

from __future__ import annotations

import difflib
import os
from typing import TYPE_CHECKING, Any, Dict, List, Optional

from arcface_mx.model.backbone import make_backbone
from arcface_mx.model.embedder import Embedder
from arcface_mx.model.graph import cut_at_embedding
from arcface_mx.model.load import engine_factory
from arcface_mx.train import checkpoint
from arcface_mx.train.folder import read_config, read_metrics
from arcface_mx.train.log import LOG, read_events
from arcface_mx.util.errors import UserError

if TYPE_CHECKING:
    from mxnet.context import Context

LAST, BEST = "last", "best"


def find_step(run: str, step: str) -> int:
    """Return the step of a checkpoint.

    Parameters
    ----------
    run : str
        A run folder.
    step : str
        A number; "last"; or "best", the step with the highest mean accuracy without flip test over the
        run's verification sets (`eval_every`).

    Returns
    -------
    int

    Raises
    ------
    UserError
        If the run has no such checkpoint. The message names the nearest.
    """
    read_config(run)  # refuses what is no run folder
    steps = checkpoint.steps(run)
    if not steps:
        raise UserError(f"{run}: holds no checkpoint; train first")
    listed = f"{run} has checkpoints of steps {', '.join(map(str, sorted(steps)))}"
    if step == LAST:
        state = checkpoint.latest(run)
        assert state is not None  # `latest` has refused a run without a whole checkpoint
        return state.step
    if step == BEST:
        best = best_of_run(run).get("step")
        if best is None:
            raise UserError(f"`step` best: the run was not verified during training (`eval_every`); {listed}")
    elif step.isdecimal():
        best = int(step)
    else:
        near = difflib.get_close_matches(step, (LAST, BEST), n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise UserError(f"`step` must be a number, {BEST} or {LAST}, got {step}{hint}")
    if best not in steps:
        near_step = min(steps, key=lambda other: abs(other - best))
        raise UserError(f"`step` {step}: there is no checkpoint of step {best}; the nearest is {near_step}. {listed}")
    return best


def best_of_run(run: str) -> Dict[str, Any]:
    """Return {"step", "mean_accuracy"} of the best verification of a run, empty if there was none."""
    metrics = read_metrics(run)
    if metrics is not None:
        return metrics.get("best_of_run", {})
    state = checkpoint.latest(run)
    return state.best if state else {}


def load_snapshot(
    run: str,
    step: str = LAST,
    contexts: Optional[List[Context]] = None,
    layer: Optional[str] = None,
    engine: str = "mxnet",
) -> Embedder:
    """Return the embedding network of a run at a checkpoint.

    Parameters
    ----------
    run : str
        A run folder; the run need not have finished.
    step : str
        As for `find_step`.
    contexts, layer, engine
        As for `load_model`.

    Returns
    -------
    Embedder
        Its name contains the step.

    Raises
    ------
    UserError
        If the run has no such checkpoint, or the engine cannot take it.
    """
    if engine == "int8":
        raise UserError("`engine` int8 is a file beside a model; export the `step`, and give the exported model")
    make_engine = engine_factory(engine, run, contexts)
    config = read_config(run)
    state = checkpoint.load(checkpoint.checkpoint_path(run, find_step(run, step)))
    backbone = make_backbone(config.network, config.data.image_size, config.run.init)
    symbol, side, name = backbone.file_symbol(), backbone.image_size, f"{run}, step {state.step}"
    arg_params, aux_params = backbone.arrays_of(symbol, state.arg_params, state.aux_params)
    symbol, note = cut_at_embedding(symbol, arg_params, layer, name)
    embedder = Embedder(symbol, arg_params, aux_params, contexts, (side, side), name, make_engine)
    embedder.notes = [note] if note else []
    return embedder


def results_at(run: str, step: int) -> List[Dict[str, Any]]:
    """Return what was measured on the verification sets at a step, from metrics.json or the log."""
    metrics = read_metrics(run)
    if metrics is not None and metrics["step"] == step:
        return list(metrics["sets"].values())
    if not os.path.exists(os.path.join(run, LOG)):
        return []
    return [event for event in read_events(run, "verification") if event["step"] == step]
