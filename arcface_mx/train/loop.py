"""The training loop (`fit`) and the parts of a step (`Trainer`)."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any, Callable, List, NamedTuple, Optional, Tuple

import numpy as np

from arcface_mx.reader.bag import BagMiner
from arcface_mx.train import checkpoint
from arcface_mx.train.evaluate import mean_accuracy
from arcface_mx.train.guards import Guard, StallDetector
from arcface_mx.train.interrupts import Interrupts
from arcface_mx.train.log import RunLog
from arcface_mx.train.loss_scale import LossScale
from arcface_mx.train.meter import Meter
from arcface_mx.train.module import (
    batch_inputs,
    clear_gradients,
    embedding_module,
    read_state,
    weight_sharing_embedder,
)
from arcface_mx.train.state import RunState
from arcface_mx.train.threads import SlowdownDetector
from arcface_mx.util.environment import num_threads
from arcface_mx.util.mx_module import all_reduce_gradients, set_gradient_factor, update_with_sums

if TYPE_CHECKING:
    from arcface_mx.reader.record_reader import Batch
    from arcface_mx.train.resolve import Run


class StepReport(NamedTuple):
    """What is known after a step of a training.

    Attributes
    ----------
    step, steps : int
        Steps done, and steps of the whole run.
    lr : float
        Learning rate of this step.
    loss : float or None
        Mean loss of the step's images; None if the batch was skipped because its loss or gradient was not finite.
    """

    step: int
    steps: int
    lr: float
    loss: Optional[float]


OnStep = Callable[[StepReport], None]


def fit(
    run: Run, module: Any, scheduler: Any, state: RunState, log: RunLog, on_step: Optional[OnStep] = None
) -> RunState:
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
    on_step : callable, optional
        Called after each step.

    Returns
    -------
    RunState
        The last state, which a checkpoint holds too.

    Raises
    ------
    KeyboardInterrupt
        After Ctrl-C, SIGTERM or SIGHUP, at the end of the step, when a checkpoint has been saved.
    UserError
        If loss or gradient is not finite any more. The last checkpoint stays.
    """
    trainer = Trainer(run, module, scheduler, state, log)
    options, steps = run.options, run.schedule.steps
    with Interrupts() as interrupts:
        while trainer.step < steps:
            losses = trainer.compute_gradients()
            trainer.update()
            if on_step:
                on_step(trainer.step_report(losses))
            step, last = trainer.step, trainer.step == steps
            if last or step % options.log_every == 0:
                trainer.report()
            due = 0 < options.eval_every and step % options.eval_every == 0 and not last
            is_best = due and run.worker.should_save(trainer.verify())
            stop = run.worker.should_stop(interrupts.asked)
            if last or stop or is_best or step % options.checkpoint_every == 0:
                reached, path = trainer.save()
                if last:
                    return reached
                del reached  # a copy of all parameters
            if stop:
                log.say(f"interrupted after step {step}; saved {path}. The same command continues from there.")
                raise KeyboardInterrupt
    return trainer.state()


class Trainer:
    """The parts of a training step. `step` counts the steps done."""

    def __init__(self, run: Run, module: Any, scheduler: Any, state: RunState, log: RunLog) -> None:
        self.step, self._best = state.step, state.best
        self._run, self._module, self._scheduler, self._log = run, module, scheduler, log
        classes, skip = run.index.num_classes, run.optimizer.skip_bad_batches
        first, dynamic = run.optimizer.loss_scale, run.optimizer.dynamic_loss_scale
        self._scale = LossScale(first, dynamic, state.loss_scale) if run.graph.scaled else None
        self._guard = Guard(module, run.schedule, classes, skip, run.folder.path, state.skipped, self._scale)
        scale = getattr(run.loss, "scale", None)
        self._stall = StallDetector(run.schedule, len(run.index), classes, run.first_loss, scale)
        changeable = run.worker.size == 1 and all(context.device_type == "cpu" for context in run.contexts)
        self._slowdown = SlowdownDetector(num_threads() if changeable else 0)
        self._meter = Meter(run.graph.outputs, run.loss.last_angle)
        self._miner: Optional[BagMiner] = None
        if run.loss.bag_size > 1:
            embed = weight_sharing_embedder(module, run)
            self._miner = BagMiner(embed, run.batch_size, *run.loss.mining_rule)
        self._batches = run.reader.batches(self.step * run.schedule.images_a_step * run.loss.bag_size)
        self._next_batch = next(self._batches)

    def compute_gradients(self) -> List[np.ndarray]:
        """Run forward and backward pass on a step's batches, sum and check the gradients; return the losses."""
        losses = []
        self._slowdown.start()
        for part in range(self._run.optimizer.accumulate):
            batch = self._miner(self._next_batch) if self._miner else self._next_batch
            self._guard.before(batch, part)
            inputs = self._inputs(batch)
            self._seed(part)
            self._module.forward_backward(inputs)
            complete = part == self._run.optimizer.accumulate - 1
            if complete:
                all_reduce_gradients(embedding_module(self._module))
            self._guard.queue_check(complete)
            outputs = self._module.get_outputs(merge_multi_context=False)
            # The next batch is fetched while the devices work on this one.
            start = time.perf_counter()
            self._next_batch = next(self._batches)
            fetched = time.perf_counter()
            values = [np.concatenate([array.asnumpy() for array in arrays]) for arrays in outputs]
            idle = time.perf_counter() - fetched < 1e-3  # the devices had finished first
            if self._guard.check_finite(values[0], batch, self.step, partial(self._seed, part)):
                losses.append(values[0])
                self._meter.add(values, fetched - start if idle else 0.0)
        return losses

    def _inputs(self, batch: Batch) -> Any:
        return batch_inputs(self._run, self._module, batch.pixels, batch.labels, self.step, self._scale)

    def update(self) -> None:
        """Update the parameters, unless a batch of this step was bad or its gradient overflowed."""
        used_scale = self._scale.value if self._scale else 1.0
        if self._guard.should_update(self._log):
            self._scheduler.step = self.step
            if self._scale:
                set_gradient_factor(embedding_module(self._module), 1.0 / used_scale)
            update_with_sums(self._module, embedding_module(self._module))
        if self._run.optimizer.accumulate > 1:
            clear_gradients(self._module)
        self.step += 1
        self._slowdown.stop()
        self._log.step()

    def step_report(self, losses: List[np.ndarray]) -> StepReport:
        """Return what is known of the step that was done last. `losses` are those of its images."""
        loss = float(np.concatenate(losses).mean()) if losses else None
        return StepReport(self.step, self._run.schedule.steps, self._run.schedule.lr_at(self.step - 1), loss)

    def report(self) -> None:
        """Log the metrics since the last report."""
        schedule, metrics = self._run.schedule, self._meter.mean()
        if self._scale:
            metrics["loss_scale"] = self._scale.value
        epoch = self.step * schedule.images_a_step / len(self._run.index)
        self._log.progress(self.step, epoch, schedule.lr_at(self.step - 1), metrics)
        self._log.warn(self._stall.look(self.step, metrics))
        self._log.warn(self._slowdown.look(metrics["input_wait_share"]))

    def verify(self) -> bool:
        """Verify the present state, on the worker that has the sets, and return whether it is the best so far.

        The best has the highest mean, over the sets, of the accuracy without flip test.
        """
        evaluator = self._run.evaluator
        if evaluator is None:
            return False
        backbone = embedding_module(self._module)
        results = evaluator(read_state(backbone, self.step, self._best))
        self._log.verification(self.step, results)
        mean = mean_accuracy(results)
        if mean <= self._best.get("mean_accuracy", -1.0):
            return False
        self._best = {"step": self.step, "mean_accuracy": mean}
        return True

    def state(self) -> RunState:
        """Return all that a checkpoint holds."""
        return read_state(self._module, self.step, self._best, self._guard.skipped, self._scale)

    def save(self) -> Tuple[RunState, str]:
        """Write a checkpoint; return its state and its folder. Only rank 0 writes."""
        options, state = self._run.options, self.state()
        keep = options.keep_checkpoints if self._run.worker.is_root else 0
        return state, checkpoint.save(self._run.folder.path, state, keep, options.keep_every)

    def _seed(self, part: int) -> None:
        """Make dropout's random numbers a function of seed and step: MXNet's random state cannot be read."""
        import mxnet as mx

        sequence = np.random.SeedSequence([self._run.seed, 1 + self.step, part])
        mx.random.seed(int(sequence.generate_state(1)[0] & 0x7FFFFFFF))
