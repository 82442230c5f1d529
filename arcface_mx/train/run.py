"""One training run, from configuration to metrics.

`train` resolves the configuration once into a `Run`, the objects that do the work. Nothing below it
sees the configuration.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Dict, List, Optional

from mxnet.base import MXNetError

from arcface_mx.config import DataConfig, OptimizerConfig, RunConfig, TrainConfig, differences, to_json
from arcface_mx.data.recordio.index import RecordIndex
from arcface_mx.losses.base import Loss, scale_floor
from arcface_mx.losses.graph import TrainingGraph, training_graph, use_native
from arcface_mx.model.backbone import INIT, Backbone, make_backbone
from arcface_mx.parallel import sampling
from arcface_mx.planning.plan import check_memory
from arcface_mx.planning.workload import Workload
from arcface_mx.reader.augment import Augmentation
from arcface_mx.reader.record_reader import RecordReader
from arcface_mx.reader.samplers import PKSampler, RandomSampler, Sampler
from arcface_mx.train.data_fingerprint import cached_fingerprint
from arcface_mx.train.evaluate import Evaluator, mean_accuracy
from arcface_mx.train.folder import METRICS, RunFolder, read_metrics
from arcface_mx.train.init_centres import check_init_centres
from arcface_mx.train.lock import RunLock
from arcface_mx.train.log import RunLog
from arcface_mx.train.loop import fit
from arcface_mx.train.module import build_module, initialise, start_optimizer, write_momentum
from arcface_mx.train.preflight import preflight
from arcface_mx.train.schedule import Schedule
from arcface_mx.train.start import starting_state
from arcface_mx.train.state import RunState
from arcface_mx.train.tensorboard import check_installed
from arcface_mx.train.worker import Worker, join
from arcface_mx.util.devices import parse_devices
from arcface_mx.util.environment import available_cores
from arcface_mx.util.errors import LostWorker, UserError
from arcface_mx.util.files import write_json
from arcface_mx.verify.tables import result_table

if TYPE_CHECKING:
    from mxnet.context import Context


SIZES = ("image_size", "embedding_size")


@dataclass(frozen=True)
class Run:
    """The objects that one worker of a training run works with.

    Attributes
    ----------
    folder : RunFolder
        Where this worker writes.
    worker : Worker
    contexts : list of Context
    index : RecordIndex
        The training set.
    data : dict
        What the run folder records of the training set.
    loss : Loss
    backbone : Backbone
    graph : TrainingGraph
    schedule : Schedule
    reader : RecordReader
    evaluator : Evaluator, optional
        None if there is no verification set.
    batch_size : int
        Images in a batch of this worker.
    seed : int
        Seed of this worker.
    optimizer : OptimizerConfig
    options : RunConfig
        Parallel mode, model to start from, and how often to log, verify and save.
    record : dict
        The configuration as it is written to config.json.
    """

    folder: RunFolder
    worker: Worker
    contexts: List[Context]
    index: RecordIndex
    data: Dict[str, Any]
    loss: Loss
    backbone: Backbone
    graph: TrainingGraph
    schedule: Schedule
    reader: RecordReader
    evaluator: Optional[Evaluator]
    batch_size: int
    seed: int
    optimizer: OptimizerConfig
    options: RunConfig
    record: Dict[str, Any]

    @property
    def first_loss(self) -> Optional[float]:
        """The expected loss before training."""
        return self.loss.expected_first_loss(self.index.num_classes, self.backbone.embedding_size)


def train(config: TrainConfig) -> Dict[str, Any]:
    """Run or continue a training, or return the metrics of a finished one.

    Parameters
    ----------
    config : TrainConfig

    Returns
    -------
    dict
        The contents of metrics.json.

    Raises
    ------
    UserError
        For bad input; before anything is written, if it can be seen before.
    """
    if not config.run.run:
        raise UserError("`run` is missing: name a folder for the run, for example runs/first")
    if not config.data.data:
        raise UserError("`data` is missing: name a folder with train.rec, train.idx and property")
    folder = RunFolder(config.run.run)
    stored = folder.stored_config()
    if stored:
        differing = differences(stored, config, of_result=True)
        if config.network.network == INIT:  # the record holds the sizes of the model
            differing = {name: pair for name, pair in differing.items() if name not in SIZES}
        folder.refuse_differences(differing)
    worker = join(config.run.kvstore)
    try:
        finished = read_metrics(folder.path)
        if worker.finished(bool(finished)):
            print(f"{folder.path}: finished before; nothing to do")
            return finished or {}
        with RunLock(worker.folder(folder.path)) as lock:
            metrics = carry_out(resolve(config, worker), lock)
        worker.end_together()
        return metrics
    except MXNetError as error:
        if worker.lost_another(error):
            raise LostWorker("another worker has ended, and with it this one's training") from None
        raise
    finally:
        worker.leave()


def resolve(config: TrainConfig, worker: Worker) -> Run:
    """Turn a configuration into the objects that do the work. Writes nothing."""
    data, options, optimizer, loss = config.data, config.run, config.optimizer, config.loss
    worker.check(options.parallel, optimizer.skip_bad_batches)
    _check_loss(loss, data, options)
    if options.tensorboard:
        check_installed()
    contexts = parse_devices(options.devices)
    backbone = make_backbone(config.network, data.image_size, options.init, options.devices)
    folder = RunFolder(worker.folder(options.run))
    evaluator = Evaluator(backbone, data.eval, contexts, folder.path) if data.eval and worker.is_root else None
    index = RecordIndex.open(data.data)
    description = _describe(index, data.data)
    folder.refuse_other_data(description)
    workload = Workload(backbone, loss, data.batch_size, options.devices, options.parallel, worker.size)
    check_memory(workload, index.num_classes)
    obstacle = _native_obstacle(options, backbone, optimizer.accumulate)
    try:
        graph = training_graph(
            backbone.symbol(training=True),
            loss,
            index.num_classes,
            use_native(loss, obstacle),
            optimizer.loss_scale if backbone.half_precision else 1.0,
        )
    except ValueError as error:
        raise UserError(f"the loss {loss.name}: {error}")
    return Run(
        folder=folder,
        worker=worker,
        contexts=contexts,
        index=index,
        data=description,
        loss=loss,
        backbone=backbone,
        graph=graph,
        schedule=Schedule.of(optimizer, data.batch_size),
        reader=_make_reader(index, data, options, backbone.image_size, loss.bag_size, worker),
        evaluator=evaluator,
        batch_size=worker.batch_size(data.batch_size),
        seed=worker.seed(options.seed),
        optimizer=optimizer,
        options=options,
        record=_record(config, backbone),
    )


def _record(config: TrainConfig, backbone: Backbone) -> Dict[str, Any]:
    """Return the configuration for config.json, with the sizes of the network."""
    record = to_json(config)
    record["data"]["image_size"], record["network"]["embedding_size"] = backbone.image_size, backbone.embedding_size
    return record


def _check_loss(loss: Loss, data: DataConfig, options: RunConfig) -> None:
    """Raise UserError if the loss needs other batches, devices or a model to start from."""
    check_init_centres(options.init_centres, options.init, loss)
    if loss.needs_tuples and not data.images_per_identity:
        raise UserError(
            f"the loss {loss.name} compares images of one identity: give `images_per_identity`, for example 4"
        )
    if loss.bag_size > 1 and not (loss.needs_tuples and loss.distance):
        raise UserError(f"`bag` {loss.bag_size}: the loss {loss.name} has no triplets to mine")
    if getattr(loss, "sample_rate", 1.0) < 1.0 and options.parallel != "centres":
        raise UserError("`sample_rate` below 1 needs `parallel` centres (one device is enough)")


def _native_obstacle(options: RunConfig, backbone: Backbone, accumulate: int) -> str:
    """Return why this run cannot use a compiled head, or an empty text."""
    if options.parallel == "centres":
        return "`parallel` centres needs the logits, which it never forms"
    if backbone.half_precision:
        return "it computes in float32"
    if accumulate > 1:
        return "compiled operators overwrite gradients, and `accumulate` adds them"
    if "gpu" in options.devices:
        return f"it runs on the CPU, not on {options.devices}"
    return ""


def _make_reader(
    index: RecordIndex, data: DataConfig, options: RunConfig, image_size: int, bag_size: int, worker: Worker
) -> RecordReader:
    """Return the reader of this worker's batches. Every worker has the same order and takes its batches of it."""
    sampler: Sampler = RandomSampler(len(index), options.seed)
    if data.images_per_identity:
        sampler = PKSampler(index, data.images_per_identity, options.seed)
    return RecordReader(
        index,
        sampler,
        Augmentation(image_size, data.mirror, data.shift, data.rotate, data.zoom, data.jitter),
        bag_size * worker.batch_size(data.batch_size),
        options.seed,
        options.decode_threads or available_cores(),
        (worker.rank, worker.size),
    )


def _describe(index: RecordIndex, folder: str) -> Dict[str, Any]:
    """Return what the run folder records of the training set."""
    return {
        "folder": folder,
        "images": len(index),
        "num_classes": index.num_classes,
        "height": index.height,
        "width": index.width,
        "fingerprint": cached_fingerprint(index),
    }


def carry_out(run: Run, lock: RunLock) -> Dict[str, Any]:
    """Train, save, export and verify; return the metrics."""
    new = not run.folder.exists
    if not new:
        lock.take()
        run.folder.remove_temporary()
    state, source = starting_state(run)
    module = build_module(run)
    shapes = dict(module.data_shapes + module.label_shapes)
    state = run.worker.share_state(state, run.graph.symbol, shapes)
    initialise(module, run.options.seed, state.arg_params, state.aux_params)
    scheduler = start_optimizer(module, run)
    write_momentum(module, state.momentum, state.arg_params)
    state = dataclasses.replace(state, arg_params={}, aux_params={}, momentum={})  # the module has them now
    messages, warnings = preflight(run, module)

    lock.take()
    run.folder.claim(new, run.record)
    warnings += run.folder.write_environment(run.options.devices, run.data)
    log = RunLog(run.folder.path, run.schedule.steps, state.step, run.options.tensorboard)
    try:
        _introduce(run, log, source, messages, [lock.left_by, *warnings])
        return _finish(run, fit(run, module, scheduler, state, log), log)
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


def _finish(run: Run, state: RunState, log: RunLog) -> Dict[str, Any]:
    """Export the embedding network, verify the last state and write metrics.json, the mark of a finished run."""
    run.backbone.save(state.arg_params, state.aux_params, run.folder.path)
    metrics: Dict[str, Any] = {"step": state.step, "skipped_steps": state.skipped, "sets": {}}
    if run.evaluator:
        results = run.evaluator(state)
        metrics["sets"] = {result.set: result.to_json() for result in results}
        metrics["mean_accuracy"] = mean_accuracy(results)
        if state.best:
            metrics["best_of_run"] = state.best  # chosen on the verification sets: not a headline number
        log.say(result_table(results))
    write_json(run.folder.file(METRICS), metrics)
    log.event("finished", step=state.step)
    return metrics
