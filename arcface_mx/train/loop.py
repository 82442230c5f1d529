"""The training loop: one function that reads from top to bottom.

Given a graph, a stream of batches and a frozen configuration; knows no loss and no network.
"""

from __future__ import annotations

import math
import time
from typing import Any, Callable, Dict, List, Optional, Union

import numpy as np

from arcface_mx.config import TrainConfig
from arcface_mx.errors import UserError
from arcface_mx.input.bag import BagStream
from arcface_mx.input.stream import Batch, FaceStream
from arcface_mx.input.tuples import TupleStream
from arcface_mx.train import checkpoint
from arcface_mx.train.checkpoint import RunState
from arcface_mx.train.evaluate import mean_accuracy
from arcface_mx.train.graph import TrainingGraph
from arcface_mx.train.log import RunLog
from arcface_mx.train.metrics import Meter
from arcface_mx.train.module import clear_gradients, read_state
from arcface_mx.train.schedule import Schedule
from arcface_mx.verify.sets import SetResult

Evaluate = Callable[[RunState], List[SetResult]]


def fit(
    module: Any,
    graph: TrainingGraph,
    stream: Union[FaceStream, TupleStream, BagStream],
    config: TrainConfig,
    schedule: Schedule,
    state: RunState,
    log: RunLog,
    meter: Meter,
    evaluate: Optional[Evaluate] = None,
) -> RunState:
    """Train `module` from `state.step` to the schedule's end; returns the last state, checkpointed.

    Ctrl-C saves a checkpoint of the updates made and raises KeyboardInterrupt. Raises UserError when
    the loss is no longer finite; the last checkpoint stays.
    """
    step, best, run = state.step, state.best, config.run
    updates = step  # ahead of `step` between an update and the end of its step, where Ctrl-C mostly lands
    batch = next(stream)
    try:
        while step < schedule.steps:
            waited = 0.0
            for part in range(config.optimizer.accumulate):
                _seed(config.run.seed, step, part)
                module.forward_backward(_inputs(batch, graph, schedule, step))
                outputs = module.get_outputs(merge_multi_context=False)
                if part == config.optimizer.accumulate - 1:
                    module._optimizer.set_learning_rate(schedule.lr_at(step))
                    module.update()
                    updates = step + 1
                # The next batch is fetched while the devices work on this one.
                start = time.perf_counter()
                batch = next(stream)
                fetched = time.perf_counter()
                values = [np.concatenate([array.asnumpy() for array in arrays]) for arrays in outputs]
                idle = time.perf_counter() - fetched < 1e-3  # the devices had finished first
                loss = meter.add(values, fetched - start if idle else 0.0)
                if not math.isfinite(loss):
                    raise UserError(_not_finite(loss, step, schedule.lr_at(step), config))
            if config.optimizer.accumulate > 1:
                clear_gradients(module)
            step += 1
            log.step()
            if step % run.log_every == 0 or step == schedule.steps:
                log.progress(step, step * schedule.images_a_step / stream.view.images, schedule.lr_at(step - 1), meter.mean())
            last = step == schedule.steps
            if last or step % run.checkpoint_every == 0:
                checkpoint.save(run.run, read_state(module, step, best), run.keep_checkpoints)
            if evaluate and run.eval_every and step % run.eval_every == 0 and not last:
                best = _better(best, step, evaluate(read_state(module, step, best)))
    except KeyboardInterrupt:
        path = checkpoint.save(run.run, read_state(module, updates, best), run.keep_checkpoints)
        log.say("interrupted after step %d; saved %s. The same command goes on from there." % (updates, path))
        raise
    return read_state(module, step, best)


def _inputs(batch: Batch, graph: TrainingGraph, schedule: Schedule, step: int) -> Any:
    import mxnet as mx

    size = len(batch.labels)
    scalars = schedule.scalars_at(step)
    extra = [mx.nd.full((size,), scalars[name]) for name in graph.scheduled]
    return mx.io.DataBatch(data=[batch.pixels] + extra, label=[mx.nd.array(batch.labels.astype(np.float32))])


def _seed(seed: int, step: int, part: int) -> None:
    """Dropout's random numbers depend on (seed, step) alone: MXNet's random state cannot be read."""
    import mxnet as mx

    mx.random.seed(int(np.random.SeedSequence([seed, 1 + step, part]).generate_state(1)[0] & 0x7FFFFFFF))


def _better(best: Dict[str, Any], step: int, results: List[SetResult]) -> Dict[str, Any]:
    mean = mean_accuracy(results)
    return {"step": step, "mean_accuracy": mean} if mean > best.get("mean_accuracy", -1.0) else best


def _not_finite(loss: float, step: int, lr: float, config: TrainConfig) -> str:
    return (
        "loss is %s at step %d (learning rate %g). The newest checkpoint is in %s/checkpoints. "
        "Usual causes: the learning rate is too high for this scale and margin (try --margin-ramp 0.3 or a lower --lr); "
        "--literal, which gives NaN where an embedding lies along its own centre."
        % (loss, step + 1, lr, config.run.run)
    )


