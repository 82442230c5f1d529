"""One training run from configuration to metrics: prepare, start, fit, export, verify."""

from __future__ import annotations

import dataclasses
import os
from typing import Any, Dict, Optional, Union

from arcface_mx import losses
from arcface_mx.config import TrainConfig
from arcface_mx.data.record_index import RecordIndex
from arcface_mx.devices import parse_devices
from arcface_mx.errors import UserError
from arcface_mx.export.mxnet_model import save_embedding
from arcface_mx.files import write_json
from arcface_mx.input.bag import BagMiner
from arcface_mx.input.image_view import ImageView, as_dict, open_view
from arcface_mx.input.stream import FaceStream
from arcface_mx.input.tuples import TupleStream, describe
from arcface_mx.network import embedding_symbol
from arcface_mx.platform import available_cores
from arcface_mx.train import run_folder
from arcface_mx.train.checkpoint import RunState
from arcface_mx.train.evaluate import Evaluator, mean_accuracy
from arcface_mx.train.graph import training_graph
from arcface_mx.train.lock import RunLock
from arcface_mx.train.log import RunLog
from arcface_mx.train.loop import fit
from arcface_mx.train.metrics import Meter
from arcface_mx.train.module import build_module, initialise, start_optimizer, weight_sharing_embedder, write_momentum
from arcface_mx.train.preflight import preflight
from arcface_mx.train.schedule import Schedule
from arcface_mx.train.start import starting_state
from arcface_mx.verify.sets import result_table


def train(config: TrainConfig) -> Dict[str, Any]:
    """Run (or continue, or find finished) the training in `config.run.run`; returns its metrics.

    Raises UserError on bad input before anything is written, where it can be seen before.
    """
    if not config.run.run:
        raise UserError("--run is missing: name a folder for the run, for example --run runs/first")
    if not config.data.data:
        raise UserError("--data is missing: name a folder with train.rec, train.idx and property")
    run_folder.check(config)
    finished = run_folder.read_metrics(config.run.run)
    if finished:
        print("%s: finished before; nothing to do" % config.run.run)
        return finished
    if losses.needs_tuples(config.loss) and not config.data.photos_a_person:
        raise UserError("--loss %s compares photos of one person: give --photos-a-person, for example 4" % config.loss.loss)
    if config.loss.bag > 1:
        losses.bag_distance(config.loss)  # refuses losses without triplets
    with RunLock(config.run.run) as lock:
        return _train(config, lock)


def _train(config: TrainConfig, lock: RunLock) -> Dict[str, Any]:
    # All that can be wrong is found before the run folder is written.
    new = not run_folder.exists(config)
    if not new:
        lock.take()
        run_folder.tidy(config.run.run)
    contexts = parse_devices(config.run.devices)
    evaluator = Evaluator(config, contexts)
    view = open_view(config.data.data)
    data = dict(as_dict(view), folder=config.data.data)
    run_folder.check_data(config, data)
    graph, schedule = training_graph(config, view.num_classes), Schedule.of(config)
    state, source = starting_state(config)
    module = build_module(graph, config, contexts)
    initialise(module, config.run.seed, state.arg_params, state.aux_params)
    start_optimizer(module, config, schedule)
    write_momentum(module, state.momentum)
    lines, warnings = preflight(config, schedule, view, module)

    lock.take()
    run_folder.claim(config, new)
    warnings += run_folder.write_environment(config, data)
    log = RunLog(config.run.run, schedule.steps, state.step)
    try:
        _introduce(log, config, schedule, view, source)
        for line in lines:
            log.say(line)
        for warning in [lock.left_by] + warnings:
            log.warn(warning)
        stream = open_stream(view, config, state.step * schedule.images_a_step, log)
        meter = Meter(graph.outputs, losses.find(config.loss.loss).last_angle(config.loss))
        final = fit(module, graph, stream, config, schedule, state, log, meter, evaluator if config.data.eval else None, bag_miner(config, module))
        return _finish(config, final, evaluator, log)
    finally:
        log.close()


def open_stream(view: ImageView, config: TrainConfig, trained: int, log: RunLog) -> Union[FaceStream, TupleStream]:
    """Images in random order, or P×K batches where --photos-a-person asks for them (whole bags of them
    under --bag), from the place where `trained` images have been trained on."""
    threads = config.run.decode_threads or available_cores()
    if not config.data.photos_a_person:
        return FaceStream(view, config.data, config.run.seed, trained, threads)
    bag = config.loss.bag
    data = dataclasses.replace(config.data, batch_size=bag * config.data.batch_size)
    stream = TupleStream(view, RecordIndex.open(config.data.data), data, config.run.seed, bag * trained, threads)
    log.say(describe(stream) + ("; each batch is mined from %d" % bag if bag > 1 else ""))
    return stream


def bag_miner(config: TrainConfig, module: Any) -> Optional[BagMiner]:
    """What chooses each batch from its bag, None without --bag."""
    if config.loss.bag == 1:
        return None
    embed = weight_sharing_embedder(module, embedding_symbol(config, training=True), config)
    return BagMiner(embed, config.data.batch_size, losses.bag_distance(config.loss), config.loss.triplet_margin, config.loss.mining)


def _introduce(log: RunLog, config: TrainConfig, schedule: Schedule, view: ImageView, source: str) -> None:
    loss, d = config.loss, config.network.embedding_size
    first = losses.expected_first_loss(loss, view.num_classes, d)
    log.say("data: %s, %d images of %d people" % (config.data.data, view.images, view.num_classes))
    log.say("start: " + source)
    log.say("schedule: %s (%.1f epochs)" % (schedule.describe(), schedule.steps * schedule.images_a_step / view.images))
    if first is not None:
        log.say(
            "expected first loss %.2f for %d classes; smallest sensible scale for them %.1f (AdaCos), chosen %g"
            % (first, view.num_classes, losses.scale_floor(view.num_classes), loss.scale)
        )
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
