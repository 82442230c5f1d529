"""One training run from configuration to metrics: prepare, start, fit, export, verify."""

from __future__ import annotations

import dataclasses
import os
from typing import Any, Dict, List

from mxnet.base import MXNetError

from arcface_mx.config import TrainConfig
from arcface_mx.losses import losses
from arcface_mx.losses.training_graph import training_graph
from arcface_mx.model.backbone import save_embedding, with_init_sizes
from arcface_mx.parallel import sampling
from arcface_mx.planning.plan import refuse_what_cannot_fit
from arcface_mx.reader.image_view import ImageView, as_dict, open_view
from arcface_mx.train import folder as run_folder
from arcface_mx.train.evaluate import Evaluator, mean_accuracy
from arcface_mx.train.lock import RunLock
from arcface_mx.train.log import RunLog
from arcface_mx.train.loop import fit
from arcface_mx.train.mean_centres import check_mean_centres
from arcface_mx.train.meter import Meter
from arcface_mx.train.module import build_module, initialise, start_optimizer, write_momentum
from arcface_mx.train.preflight import preflight
from arcface_mx.train.reader import bag_miner, open_stream
from arcface_mx.train.schedule import Schedule
from arcface_mx.train.start import starting_state
from arcface_mx.train.state import RunState
from arcface_mx.train.tensorboard import check_installed
from arcface_mx.train.worker import Worker, join
from arcface_mx.util.devices import parse_devices
from arcface_mx.util.errors import LostWorker, UserError
from arcface_mx.util.files import write_json
from arcface_mx.verify.tables import result_table


def train(config: TrainConfig) -> Dict[str, Any]:
    """Run (or continue, or find finished) the training in `config.run.run`; returns its metrics.

    Raises UserError on bad input before anything is written, where it can be seen before.
    """
    if not config.run.run:
        raise UserError("--run is missing: name a folder for the run, for example --run runs/first")
    if not config.data.data:
        raise UserError("--data is missing: name a folder with train.rec, train.idx and property")
    config = with_init_sizes(config)
    run_folder.check(config)
    worker = join(config.run.kvstore)
    try:
        finished = run_folder.read_metrics(config.run.run)
        if worker.finished(bool(finished)):
            print(f"{config.run.run}: finished before; nothing to do")
            return finished or {}
        own_folder = worker.run_config(config)
        with RunLock(own_folder.run.run) as lock:
            metrics = _train(own_folder, worker, lock)
        worker.end_together()
        return metrics
    except MXNetError as error:
        if worker.lost_another(error):
            raise LostWorker("another worker has ended, and with it this one's training") from None
        raise
    finally:
        worker.leave()


def _train(config: TrainConfig, worker: Worker, lock: RunLock) -> Dict[str, Any]:
    # All that can be wrong is found before the run folder is written.
    losses.check_needs(config)
    check_mean_centres(config)
    if config.run.tensorboard:
        check_installed()
    new = not run_folder.exists(config)
    if not new:
        lock.take()
        run_folder.tidy(config.run.run)
    contexts = parse_devices(config.run.devices)
    evaluator = Evaluator(config, contexts)
    view = open_view(config.data.data)
    data = dict(as_dict(view), folder=config.data.data)
    run_folder.check_data(config, data)
    refuse_what_cannot_fit(config, view.num_classes, worker.size)
    graph, schedule = training_graph(config, view.num_classes), Schedule.of(config)
    own = worker.own_config(config)
    state, source = starting_state(config, view.num_classes, contexts)
    module = build_module(graph, own, contexts, worker.communicator)
    state = worker.share_state(state, graph.symbol, dict(module.data_shapes + module.label_shapes))
    initialise(module, config.run.seed, state.arg_params, state.aux_params)
    start_optimizer(module, config, schedule, worker.kvstore)
    write_momentum(module, state.momentum, state.arg_params)
    state = dataclasses.replace(state, arg_params={}, aux_params={}, momentum={})  # the module has them now
    lines, warnings = preflight(config, schedule, view, module)

    lock.take()
    run_folder.claim(config, new)
    warnings += run_folder.write_environment(config, data)
    log = RunLog(config.run.run, schedule.steps, state.step, config.run.tensorboard)
    try:
        _introduce(log, config, schedule, view, source, lines, [lock.left_by] + warnings)
        stream = open_stream(view, config, state.step * schedule.images_a_step, log, worker)
        meter = Meter(graph.outputs, losses.find(config.loss.loss).last_angle(config.loss))
        evaluate, mine = evaluator if config.data.eval else None, bag_miner(config, module, worker)
        final = fit(module, graph, stream, own, schedule, state, log, meter, evaluate, mine, worker.any)
        return _finish(config, final, evaluator, log)
    finally:
        log.close()


def _introduce(
    log: RunLog,
    config: TrainConfig,
    schedule: Schedule,
    view: ImageView,
    source: str,
    lines: List[str],
    warnings: List[str],
) -> None:
    loss, d = config.loss, config.network.embedding_size
    first = losses.expected_first_loss(loss, view.num_classes, d)
    log.say(f"data: {config.data.data}, {view.images} images of {view.num_classes} people")
    log.say("start: " + source)
    log.say(f"schedule: {schedule.describe()} ({schedule.steps * schedule.images_a_step / view.images:.1f} epochs)")
    if first is not None:
        log.say(
            f"expected first loss {first:.2f} for {view.num_classes} classes; smallest sensible scale for "
            f"them {losses.scale_floor(view.num_classes):.1f} (AdaCos), chosen {loss.scale:g}"
        )
    if loss.sample_rate < 1.0:
        log.say(sampling.advice(loss.sample_rate, view.num_classes, len(config.run.devices.split(","))))
    for line in lines:
        log.say(line)
    for warning in warnings:
        log.warn(warning)
    log.event("start", source=source, expected_first_loss=first, steps=schedule.steps, images=view.images)


def _finish(config: TrainConfig, state: RunState, evaluator: Evaluator, log: RunLog) -> Dict[str, Any]:
    """Export the embedding network, verify the last state, write metrics.json: the mark of a finished run."""
    save_embedding(config, state.arg_params, state.aux_params, config.run.run)
    metrics: Dict[str, Any] = {"step": state.step, "skipped_steps": state.skipped, "sets": {}}
    if config.data.eval:
        results = evaluator(state)
        metrics["sets"] = {result.set: result.to_json() for result in results}
        metrics["mean_accuracy"] = mean_accuracy(results)
        if state.best:
            metrics["best_of_run"] = state.best  # chosen on the verification sets: not a headline number
        log.say(result_table(results))
    write_json(os.path.join(config.run.run, run_folder.METRICS), metrics)
    log.event("finished", step=state.step)
    return metrics
