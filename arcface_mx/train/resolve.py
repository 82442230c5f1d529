"""The objects of a training run, made from its configuration."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Dict, List, Optional

from arcface_mx.config import DataConfig, OptimizerConfig, RunConfig, TrainConfig, to_json
from arcface_mx.data.recordio.index import RecordIndex
from arcface_mx.data.recordio.manifest import compare_sizes
from arcface_mx.losses.base import Loss
from arcface_mx.losses.graph import TrainingGraph, training_graph, use_native
from arcface_mx.model.backbone import Backbone, make_backbone
from arcface_mx.planning.plan import check_memory
from arcface_mx.planning.workload import Workload
from arcface_mx.reader.augment import Augmentation
from arcface_mx.reader.record_reader import RecordReader
from arcface_mx.reader.samplers import PKSampler, RandomSampler, Sampler
from arcface_mx.train.data_fingerprint import cached_fingerprint
from arcface_mx.train.evaluate import Evaluator
from arcface_mx.train.folder import RunFolder
from arcface_mx.train.init_centres import check_init_centres
from arcface_mx.train.preflight import refuse_absurd_schedule
from arcface_mx.train.schedule import Schedule
from arcface_mx.train.tensorboard import check_installed
from arcface_mx.train.worker import Worker
from arcface_mx.util.devices import device_settings, parse_devices
from arcface_mx.util.environment import available_cores
from arcface_mx.util.errors import UserError

if TYPE_CHECKING:
    from mxnet.context import Context


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
    images_per_identity : int
        Images of each identity in a batch, for losses on tuples; 0 for images in random order.
    seed : int
        Seed of this worker.
    optimizer : OptimizerConfig
    options : RunConfig
        Parallel mode, model to start from, and how often to log, verify and save.
    record : dict
        The configuration as it is written to config.json.
    warnings : list of str
        What the user should know about the data.
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
    images_per_identity: int
    seed: int
    optimizer: OptimizerConfig
    options: RunConfig
    record: Dict[str, Any]
    warnings: List[str]

    @property
    def first_loss(self) -> Optional[float]:
        """The expected loss before training."""
        return self.loss.expected_first_loss(self.index.num_classes, self.backbone.embedding_size)


def resolve(config: TrainConfig, worker: Worker) -> Run:
    """Turn a configuration into the objects that do the work. Writes nothing."""
    data, options, optimizer, loss = config.data, config.run, config.optimizer, config.loss
    worker.check(options.parallel, optimizer.skip_bad_batches)
    _check_loss(loss, data, options)
    if options.tensorboard:
        check_installed()
    device_settings(options.devices, options.deterministic, config.network.tf32).set_variables()
    contexts = parse_devices(options.devices)
    if options.kvstore == "nccl" and any(context.device_type == "cpu" for context in contexts):
        raise UserError(f"`kvstore` nccl adds on GPUs only, and `devices` is {options.devices}; use device")
    backbone = make_backbone(config.network, data.image_size, options.init, options.devices)
    folder = RunFolder(worker.folder(options.run))
    warnings = compare_sizes(_data_files(data))
    evaluator = Evaluator(backbone, data.eval, contexts, folder.path) if data.eval and worker.is_root else None
    index = RecordIndex.open(data.data)
    description = _describe(index, data.data)
    folder.refuse_other_data(description)
    schedule = Schedule.of(optimizer, data.batch_size)
    refuse_absurd_schedule(schedule, len(index))
    places = options.devices, options.parallel, worker.size, options.kvstore
    check_memory(Workload(backbone, loss, data.batch_size, *places, evaluator is not None), index.num_classes)
    obstacle = _native_obstacle(options, backbone, optimizer.accumulate)
    try:
        graph = training_graph(
            backbone.symbol(training=True),
            loss,
            index.num_classes,
            use_native(loss, obstacle),
            scaled=backbone.half_precision,
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
        schedule=schedule,
        reader=_make_reader(index, data, options, backbone.image_size, loss.bag_size, worker),
        evaluator=evaluator,
        batch_size=worker.batch_size(data.batch_size),
        images_per_identity=data.images_per_identity,
        seed=worker.seed(options.seed),
        optimizer=optimizer,
        options=options,
        record=_record(config, backbone),
        warnings=warnings,
    )


def _data_files(data: DataConfig) -> List[str]:
    """Return the files of the training set and the verification sets."""
    if not os.path.isdir(data.data):
        return [data.data, *data.eval]
    return [os.path.join(data.data, name) for name in ("train.rec", "train.idx", "property")] + list(data.eval)


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
        return "it makes no logits, which `parallel` centres needs"
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
        worker.part,
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
