"""The training loop: one function that reads from top to bottom."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Dict, List, Optional

import numpy as np

from arcface_mx.reader.bag import BagMiner
from arcface_mx.reader.record_reader import Batch
from arcface_mx.train import checkpoint
from arcface_mx.train.evaluate import mean_accuracy
from arcface_mx.train.guards import Guard, StallDetector
from arcface_mx.train.interrupts import Interrupts
from arcface_mx.train.log import RunLog
from arcface_mx.train.meter import Meter
from arcface_mx.train.module import clear_gradients, embedding_module, read_state, weight_sharing_embedder
from arcface_mx.train.state import RunState
from arcface_mx.verify.sets import SetResult

if TYPE_CHECKING:
    from arcface_mx.train.run import Run


def fit(run: Run, module: Any, scheduler: Any, state: RunState, log: RunLog) -> RunState:
    """Train a module from `state.step` to the end of the schedule.

    Parameters
    ----------
    run : Run
    module : Module
        Bound, initialised and with its optimizer.
    scheduler : LRScheduler
        What `start_optimizer` returned.
    state : RunState
        Step, best verification and skipped steps to start from.
    log : RunLog

    Returns
    -------
    RunState
        The last state, which a checkpoint holds too.

    Raises
    ------
    KeyboardInterrupt
        After Ctrl-C or SIGTERM, at the end of the step, when a checkpoint has been saved.
    UserError
        If loss or gradient is not finite any more. The last checkpoint stays.
    """
    step, best, schedule, options = state.step, state.best, run.schedule, run.options
    classes, images = run.index.num_classes, len(run.index)
    skip = run.optimizer.skip_bad_batches
    guard = Guard(module, schedule, classes, skip, run.folder.path, state.skipped)
    stall = StallDetector(schedule, images, classes, run.first_loss, getattr(run.loss, "scale", None))
    meter = Meter(run.graph.outputs, run.loss.last_angle)
    mine = _bag_miner(run, module)
    batches = run.reader.batches(step * schedule.images_a_step * run.loss.bag_size)
    batch = next(batches)
    with Interrupts() as interrupts:
        while step < schedule.steps:
            for part in range(run.optimizer.accumulate):
                batch = mine(batch) if mine else batch
                guard.before(batch, part)
                inputs = _inputs(batch, run, step)
                _seed(run.seed, step, part)
                module.forward_backward(inputs)
                outputs = module.get_outputs(merge_multi_context=False)
                # The next batch is fetched while the devices work on this one.
                start = time.perf_counter()
                following = next(batches)
                fetched = time.perf_counter()
                values = [np.concatenate([array.asnumpy() for array in arrays]) for arrays in outputs]
                idle = time.perf_counter() - fetched < 1e-3  # the devices had finished first
                if guard.check_finite(values[0], batch, step, _forward_again(run, module, inputs, step, part)):
                    meter.add(values, fetched - start if idle else 0.0)
                batch = following
            if guard.should_update(log):
                scheduler.step = step
                module.update()
            if run.optimizer.accumulate > 1:
                clear_gradients(module)
            step += 1
            log.step()
            last = step == schedule.steps
            if last or step % options.log_every == 0:
                metrics = meter.mean()
                log.progress(step, step * schedule.images_a_step / images, schedule.lr_at(step - 1), metrics)
                log.warn(stall.look(step, metrics))
            if run.evaluator and options.eval_every and step % options.eval_every == 0 and not last:
                results = run.evaluator(read_state(embedding_module(module), step, best, guard.skipped))
                best = _better(best, step, results)
            asked = run.worker.any(interrupts.asked)
            if last or asked or step % options.checkpoint_every == 0:
                reached = read_state(module, step, best, guard.skipped)
                keep = options.keep_checkpoints if run.worker.is_root else 0
                path = checkpoint.save(run.folder.path, reached, keep, options.keep_every)
                if last:
                    return reached
                del reached  # a copy of all parameters
            if asked:
                log.say(f"interrupted after step {step}; saved {path}. The same command continues from there.")
                raise KeyboardInterrupt
    return read_state(module, step, best, guard.skipped)


def _bag_miner(run: Run, module: Any) -> Optional[BagMiner]:
    """Return what chooses each batch from its bag, None without bags."""
    if run.loss.bag_size == 1:
        return None
    return BagMiner(weight_sharing_embedder(module, run), run.batch_size, *run.loss.mining_rule)


def _inputs(batch: Batch, run: Run, step: int) -> Any:
    import mxnet as mx

    size = len(batch.labels)
    scalars = run.loss.scheduled(step, run.schedule.steps, run.schedule.factor)
    extra = [mx.nd.full((size,), scalars[name]) for name in run.graph.scheduled]
    return mx.io.DataBatch(data=[batch.pixels, *extra], label=[mx.nd.array(batch.labels, dtype="int32")])


def _seed(seed: int, step: int, part: int) -> None:
    """Make dropout's random numbers a function of (seed, step): MXNet's random state cannot be read."""
    import mxnet as mx

    mx.random.seed(int(np.random.SeedSequence([seed, 1 + step, part]).generate_state(1)[0] & 0x7FFFFFFF))


def _better(best: Dict[str, Any], step: int, results: List[SetResult]) -> Dict[str, Any]:
    mean = mean_accuracy(results)
    return {"step": step, "mean_accuracy": mean} if mean > best.get("mean_accuracy", -1.0) else best


def _forward_again(run: Run, module: Any, inputs: Any, step: int, part: int) -> Any:
    def forward() -> None:
        if getattr(module, "collective", False):
            return  # the other processes would have to take part, and may see nothing wrong
        _seed(run.seed, step, part)
        module.forward(inputs, is_train=True)

    return forward
