"""Where a run's batches come from: one stream by the configuration, and the bags' miner."""

from __future__ import annotations

import dataclasses
from typing import Any, Optional, Union

from arcface_mx.losses import losses
from arcface_mx.config import TrainConfig
from arcface_mx.data.recordio.index import RecordIndex
from arcface_mx.reader.bag import BagMiner
from arcface_mx.reader.image_view import ImageView
from arcface_mx.reader.samplers import ShuffledOrder, TupleOrder
from arcface_mx.reader.record_reader import PhotoStream
from arcface_mx.reader.native_reader import FaceStream
from arcface_mx.model.backbone import embedding_symbol
from arcface_mx.train.worker import Cluster
from arcface_mx.util.environment import available_cores
from arcface_mx.train.log import RunLog
from arcface_mx.train.module import weight_sharing_embedder


def open_stream(view: ImageView, config: TrainConfig, trained: int, log: RunLog, cluster: Cluster) -> Union[FaceStream, PhotoStream]:
    """Images in random order, or P×K batches where --photos-a-person asks for them (whole bags of them
    under --bag), from the place where `trained` images have been trained on. Of these, this worker's."""
    threads, own, seed = config.run.decode_threads or available_cores(), cluster.own_config(config).data, config.run.seed
    if not own.photos_a_person and own.reader == "mxnet":
        return FaceStream(view, own, seed, trained // cluster.size, threads, cluster.part)
    index, bag = RecordIndex.open(own.data), config.loss.bag
    own = dataclasses.replace(own, batch_size=bag * own.batch_size)
    order: Union[ShuffledOrder, TupleOrder] = ShuffledOrder(len(index), seed)
    if own.photos_a_person:
        order = TupleOrder(index, own.photos_a_person, seed)
        log.say(order.describe() + ("; each batch is mined from %d" % bag if bag > 1 else ""))
    return PhotoStream(view, index, order, own, bag * trained, threads, cluster.part)


def bag_miner(config: TrainConfig, module: Any, cluster: Cluster) -> Optional[BagMiner]:
    """What chooses each batch from its bag, None without --bag."""
    if config.loss.bag == 1:
        return None
    own, loss = cluster.own_config(config), config.loss
    embed = weight_sharing_embedder(module, embedding_symbol(own, training=True), own)
    return BagMiner(embed, own.data.batch_size, losses.bag_distance(loss), loss.triplet_margin, loss.mining)
