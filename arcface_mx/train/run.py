"""One training run, from configuration to metrics.

`train` resolves the configuration once into a `Run`, the objects that do the work. Nothing below it
sees the configuration.
"""

from __future__ import annotations

import dataclasses
import logging
import os
from typing import Any, Dict, List, Optional

from mxnet.base import MXNetError

from arcface_mx.config import TrainConfig, differences
from arcface_mx.losses.base import scale_floor
from arcface_mx.model.backbone import INIT
from arcface_mx.parallel import sampling
from arcface_mx.reader.samplers import PKSampler
from arcface_mx.train.evaluate import mean_accuracy
from arcface_mx.train.fine_tuning import accuracy_before, conclude
from arcface_mx.train.folder import METRICS, RunFolder, read_metrics
from arcface_mx.train.lock import RunLock
from arcface_mx.train.log import RunLog
from arcface_mx.train.loop import OnStep, fit
from arcface_mx.train.module import build_module, initialise, start_optimizer, write_momentum, write_statistics
from arcface_mx.train.preflight import preflight
from arcface_mx.train.resolve import Run, resolve
from arcface_mx.train.start import starting_state
from arcface_mx.train.state import RunState
from arcface_mx.train.threads import choose_threads
from arcface_mx.train.worker import join
from arcface_mx.util.errors import LostWorker, UserError
from arcface_mx.util.files import refuse_unwritable, write_json
from arcface_mx.verify.run_scores import write_run_scores
from arcface_mx.verify.tables import result_table

LOGGER = logging.getLogger(__name__)
SIZES = ("image_size", "embedding_size")


def train(config: TrainConfig, on_step: Optional[OnStep] = None) -> Dict[str, Any]:
    """Run or continue a training, or return the metrics of a finished one.

    Parameters
    ----------
    config : TrainConfig
    on_step : callable, optional
        Called with a `StepReport` after each step.

    Returns
    -------
    dict
        The contents of metrics.json.

    Raises
    ------
    UserError
        For bad input. Errors that can be found before the run starts are raised before anything is written.
    """
    if not config.run.run:
        raise UserError("`run` is missing: name a folder for the run, for example runs/first")
    if not config.data.data:
        raise UserError("`data` is missing: name a folder with train.rec, train.idx and property")
    refuse_unwritable(os.path.join(config.run.run, METRICS), "run", "folder")
    folder = RunFolder(config.run.run)
    stored = folder.stored_config()
    if stored:
        differing = differences(stored, config, of_result=True)
        if config.network.network == INIT:  # the record holds the sizes of the model
            differing = {name: pair for name, pair in differing.items() if name not in SIZES}
        folder.refuse_differences(differing)
    worker = join(config.run.kvstore, config.run.devices)
    try:
        finished = read_metrics(folder.path)
        if worker.finished(bool(finished)):
            LOGGER.info("%s: finished before; nothing to do", folder.path)
            return finished or {}
        with RunLock(worker.folder(folder.path)) as lock:
            metrics = carry_out(resolve(config, worker), lock, on_step)
        worker.end_together()
        return metrics
    except MXNetError as error:
        if worker.lost_another(error):
            raise LostWorker("another worker has ended, and with it this one's training") from None
        raise
    finally:
        worker.leave()


def carry_out(run: Run, lock: RunLock, on_step: Optional[OnStep] = None) -> Dict[str, Any]:
    """Train, save, export and verify; return the metrics."""
    new = not run.folder.exists
    if not new:
        lock.take()
        run.folder.remove_temporary()
    run, threads = choose_threads(run)
    state, source = starting_state(run)
    module = build_module(run)
    shapes = dict(module.data_shapes + module.label_shapes)
    state = run.worker.share_state(state, run.graph.symbol, shapes)
    initialise(module, run.options.seed, state.arg_params, state.aux_params)
    scheduler = start_optimizer(module, run)
    write_momentum(module, state.momentum, state.arg_params)
    write_statistics(module, state.device_statistics)
    messages, warnings = preflight(run, module)
    messages += [f"threads: {threads}"] if threads else []

    lock.take()
    run.folder.claim(new, run.record)
    warnings += run.folder.write_environment(run.options.devices, run.data)
    log = RunLog(run.folder.path, run.schedule.steps, state.step, run.options.tensorboard)
    try:
        _introduce(run, log, source, messages, [lock.left_by, *run.warnings, *warnings])
        before = accuracy_before(run, state, log)
        # The module has the arrays now.
        state = dataclasses.replace(state, arg_params={}, aux_params={}, momentum={}, device_statistics=[])
        return _finish(run, fit(run, module, scheduler, state, log, on_step), before, log)
    finally:
        log.close()


def _introduce(run: Run, log: RunLog, source: str, messages: List[str], warnings: List[str]) -> None:
    """Say what the run works with before its first step."""
    images, classes, schedule = len(run.index), run.index.num_classes, run.schedule
    first = run.first_loss
    log.say(f"data: {run.data['folder']}, {images} images of {classes} identities")
    log.say(f"start: {source}")
    log.say(f"schedule: {schedule.describe()} ({schedule.steps * schedule.images_a_step / images:.1f} epochs)")
    if isinstance(run.reader.sampler, PKSampler):
        mined = f"; each batch is mined from {run.loss.bag_size}" if run.loss.bag_size > 1 else ""
        log.say(run.reader.sampler.describe() + mined)
    if first is not None:
        scale = getattr(run.loss, "scale", None)
        chosen = (
            "" if scale is None else f"; smallest sensible scale {scale_floor(classes):.1f} (AdaCos), chosen {scale:g}"
        )
        log.say(f"expected first loss {first:.2f} for {classes} classes{chosen}")
    rate = getattr(run.loss, "sample_rate", 1.0)
    if rate < 1.0:
        log.say(sampling.advice(rate, classes, len(run.contexts)))
    for message in messages:
        log.say(message)
    for warning in warnings:
        log.warn(warning)
    log.event("start", source=source, expected_first_loss=first, steps=schedule.steps, images=images)


def _finish(run: Run, state: RunState, before: Optional[float], log: RunLog) -> Dict[str, Any]:
    """Export the embedding network, verify the last state and write metrics.json, the mark of a finished run."""
    run.backbone.save(state.arg_params, state.aux_params, run.folder.path)
    metrics: Dict[str, Any] = {"step": state.step, "skipped_steps": state.skipped, "sets": {}}
    if state.loss_scale:
        metrics["loss_scale"] = state.loss_scale
    if run.evaluator:
        results = run.evaluator(state)
        log.verification(state.step, results, say=False)  # the table says it
        metrics["sets"] = {result.set: result.to_json() for result in results}
        write_run_scores(run.folder.path, results, run.evaluator.sets)
        mean = metrics["mean_accuracy"] = mean_accuracy(results)
        log.say(result_table(results))
        if run.options.eval_every:  # chosen on the verification sets: not a headline number
            last = {"step": state.step, "mean_accuracy": mean}
            best = metrics["best_of_run"] = last if mean > state.best.get("mean_accuracy", -1.0) else state.best
            log.say(
                f"best step {best['step']}: mean accuracy {100 * best['mean_accuracy']:.2f} % without flip test, last "
                f"step {100 * mean:.2f} %. The best step is chosen on these sets, so its accuracy is optimistic"
            )
    conclude(before, metrics, log)
    write_json(run.folder.file(METRICS), metrics)
    log.event("finished", step=state.step)
    return metrics
