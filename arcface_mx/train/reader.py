"""Where a run's batches come from: one stream by the configuration, and the bags' miner."""

from __future__ import annotations

import dataclasses
from typing import Any, Optional, Union

from arcface_mx.config import TrainConfig
from arcface_mx.data.recordio.index import RecordIndex
from arcface_mx.losses import losses
from arcface_mx.model.backbone import embedding_symbol
from arcface_mx.reader.bag import BagMiner
from arcface_mx.reader.image_view import ImageView
from arcface_mx.reader.native_reader import FaceStream
from arcface_mx.reader.record_reader import RecordReader
from arcface_mx.reader.samplers import PKSampler, RandomSampler
from arcface_mx.train.log import RunLog
from arcface_mx.train.module import weight_sharing_embedder
from arcface_mx.train.worker import Worker
from arcface_mx.util.environment import available_cores


def open_stream(
    view: ImageView, config: TrainConfig, trained: int, log: RunLog, worker: Worker
) -> Union[FaceStream, RecordReader]:
    """Images in random order, or P×K batches where --images-per-identity asks for them (whole bags of them
    under --bag), from the place where `trained` images have been trained on. Of these, this worker's."""
    threads, own, seed = config.run.decode_threads or available_cores(), worker.own_config(config).data, config.run.seed
    if not own.images_per_identity and own.reader == "mxnet":
        return FaceStream(view, own, seed, trained // worker.size, threads, worker.part)
    index, bag = RecordIndex.open(own.data), config.loss.bag
    own = dataclasses.replace(own, batch_size=bag * own.batch_size)
    order: Union[RandomSampler, PKSampler] = RandomSampler(len(index), seed)
    if own.images_per_identity:
        order = PKSampler(index, own.images_per_identity, seed)
        log.say(order.describe() + (f"; each batch is mined from {bag}" if bag > 1 else ""))
    return RecordReader(view, index, order, own, bag * trained, threads, worker.part)


def bag_miner(config: TrainConfig, module: Any, worker: Worker) -> Optional[BagMiner]:
    """What chooses each batch from its bag, None without --bag."""
    if config.loss.bag == 1:
        return None
    own, loss = worker.own_config(config), config.loss
    embed = weight_sharing_embedder(module, embedding_symbol(own, training=True), own)
    return BagMiner(embed, own.data.batch_size, losses.bag_distance(loss), loss.triplet_margin, loss.mining)
