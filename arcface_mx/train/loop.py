"""The training loop: one function that reads from top to bottom.

Given a graph, a stream of batches and a frozen configuration; knows no loss and no network.
"""

from __future__ import annotations

import time
from typing import Any, Callable, Dict, List, Optional, Union

import numpy as np

from arcface_mx.config import TrainConfig
from arcface_mx.losses.training_graph import TrainingGraph
from arcface_mx.reader.native_reader import Batch, FaceStream
from arcface_mx.reader.record_reader import RecordReader
from arcface_mx.train import checkpoint
from arcface_mx.train.evaluate import mean_accuracy
from arcface_mx.train.guards import Guard, StallDetector
from arcface_mx.train.interrupts import Interrupts
from arcface_mx.train.log import RunLog
from arcface_mx.train.meter import Meter
from arcface_mx.train.module import backbone, clear_gradients, read_state
from arcface_mx.train.schedule import Schedule
from arcface_mx.train.state import RunState
from arcface_mx.verify.sets import SetResult

Evaluate = Callable[[RunState], List[SetResult]]


def fit(
    module: Any,
    graph: TrainingGraph,
    stream: Union[FaceStream, RecordReader],
    config: TrainConfig,
    schedule: Schedule,
    state: RunState,
    log: RunLog,
    meter: Meter,
    evaluate: Optional[Evaluate] = None,
    mine: Optional[Callable[[Batch], Batch]] = None,
    stop: Callable[[bool], bool] = bool,
) -> RunState:
    """Train `module` from `state.step` to the schedule's end; returns the last state, checkpointed.

    mine: chooses from what the stream gives the batch to train on, by the weights of that step.
    stop: whether to end after a step, from whether this process was asked to; several workers agree in it.
    Ctrl-C and SIGTERM save a checkpoint at the end of the step and raise KeyboardInterrupt. Raises
    UserError where loss or gradient is no longer finite (see Guard); the last checkpoint stays.
    """
    step, best, run = state.step, state.best, config.run
    guard = Guard(module, config, schedule, stream.view.num_classes, state.skipped)
    progress = StallDetector(config, schedule, stream.view.images, stream.view.num_classes)
    batch = next(stream)
    with Interrupts() as interrupts:
        while step < schedule.steps:
            for part in range(config.optimizer.accumulate):
                batch = mine(batch) if mine else batch
                guard.before(batch, part)
                inputs = _inputs(batch, graph, schedule, step)
                _seed(run.seed, step, part)
                module.forward_backward(inputs)
                outputs = module.get_outputs(merge_multi_context=False)
                # The next batch is fetched while the devices work on this one.
                start = time.perf_counter()
                following = next(stream)
                fetched = time.perf_counter()
                values = [np.concatenate([array.asnumpy() for array in arrays]) for arrays in outputs]
                idle = time.perf_counter() - fetched < 1e-3  # the devices had finished first
                if guard.check_finite(
                    values[0], batch, step, lambda: _forward_again(module, inputs, run.seed, step, part)
                ):
                    meter.add(values, fetched - start if idle else 0.0)
                batch = following
            if guard.should_update(log):
                module._optimizer.set_learning_rate(schedule.lr_at(step))
                module.update()
            if config.optimizer.accumulate > 1:
                clear_gradients(module)
            step += 1
            log.step()
            last = step == schedule.steps
            if last or step % run.log_every == 0:
                figures = meter.mean()
                log.progress(
                    step, step * schedule.images_a_step / stream.view.images, schedule.lr_at(step - 1), figures
                )
                log.warn(progress.look(step, figures))
            if evaluate and run.eval_every and step % run.eval_every == 0 and not last:
                best = _better(best, step, evaluate(read_state(backbone(module), step, best, guard.skipped)))
            asked = stop(interrupts.asked)
            if last or asked or step % run.checkpoint_every == 0:
                reached = read_state(module, step, best, guard.skipped)
                path = checkpoint.save(run.run, reached, run.keep_checkpoints, run.keep_every)
                if last:
                    return reached
                del reached  # a copy of all parameters
            if asked:
                log.say(f"interrupted after step {step}; saved {path}. The same command goes on from there.")
                raise KeyboardInterrupt
    return read_state(module, step, best, guard.skipped)


def _inputs(batch: Batch, graph: TrainingGraph, schedule: Schedule, step: int) -> Any:
    import mxnet as mx

    size = len(batch.labels)
    scalars = schedule.scalars_at(step)
    extra = [mx.nd.full((size,), scalars[name]) for name in graph.scheduled]
    return mx.io.DataBatch(data=[batch.pixels] + extra, label=[mx.nd.array(batch.labels, dtype="int32")])


def _seed(seed: int, step: int, part: int) -> None:
    """Dropout's random numbers depend on (seed, step) alone: MXNet's random state cannot be read."""
    import mxnet as mx

    mx.random.seed(int(np.random.SeedSequence([seed, 1 + step, part]).generate_state(1)[0] & 0x7FFFFFFF))


def _better(best: Dict[str, Any], step: int, results: List[SetResult]) -> Dict[str, Any]:
    mean = mean_accuracy(results)
    return {"step": step, "mean_accuracy": mean} if mean > best.get("mean_accuracy", -1.0) else best


def _forward_again(module: Any, inputs: Any, seed: int, step: int, part: int) -> None:
    if getattr(module, "collective", False):
        return  # the other processes would have to take part, and may see nothing wrong
    _seed(seed, step, part)
    module.forward(inputs, is_train=True)
