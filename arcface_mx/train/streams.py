"""Where a run's batches come from: one stream by the configuration, and the bags' miner."""

from __future__ import annotations

import dataclasses
from typing import Any, Optional, Union

from arcface_mx import losses
from arcface_mx.config import TrainConfig
from arcface_mx.data.record_index import RecordIndex
from arcface_mx.input.bag import BagMiner
from arcface_mx.input.image_view import ImageView
from arcface_mx.input.stream import FaceStream
from arcface_mx.input.tuples import TupleStream, describe
from arcface_mx.network import embedding_symbol
from arcface_mx.parallel.cluster import Cluster
from arcface_mx.platform import available_cores
from arcface_mx.train.log import RunLog
from arcface_mx.train.module import weight_sharing_embedder


def open_stream(view: ImageView, config: TrainConfig, trained: int, log: RunLog, cluster: Cluster) -> Union[FaceStream, TupleStream]:
    """Images in random order, or P×K batches where --photos-a-person asks for them (whole bags of them
    under --bag), from the place where `trained` images have been trained on. Of these, this worker's."""
    threads, own = config.run.decode_threads or available_cores(), cluster.own_config(config).data
    if not config.data.photos_a_person:
        return FaceStream(view, own, config.run.seed, trained // cluster.size, threads, cluster.part)
    bag = config.loss.bag
    own = dataclasses.replace(own, batch_size=bag * own.batch_size)
    stream = TupleStream(view, RecordIndex.open(config.data.data), own, config.run.seed, bag * trained, threads, cluster.part)
    log.say(describe(stream) + ("; each batch is mined from %d" % bag if bag > 1 else ""))
    return stream


def bag_miner(config: TrainConfig, module: Any, cluster: Cluster) -> Optional[BagMiner]:
    """What chooses each batch from its bag, None without --bag."""
    if config.loss.bag == 1:
        return None
    own, loss = cluster.own_config(config), config.loss
    embed = weight_sharing_embedder(module, embedding_symbol(own, training=True), own)
    return BagMiner(embed, own.data.batch_size, losses.bag_distance(loss), loss.triplet_margin, loss.mining)
