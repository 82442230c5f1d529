"""--init-centres mean: class centres that start where --init already puts the people."""

from __future__ import annotations

import itertools
import os
from typing import Any, Dict, List

import numpy as np

from arcface_mx.config import TrainConfig
from arcface_mx.data.recordio.index import RecordIndex
from arcface_mx.losses import losses
from arcface_mx.model import Embedder
from arcface_mx.model.backbone import embedding_arrays, embedding_symbol
from arcface_mx.util.errors import UserError
from arcface_mx.util.progress import progress

BLOCK = 4096  # photos whose embeddings are in memory at a time


def check_mean_centres(config: TrainConfig) -> None:
    """Raise UserError where --init-centres mean has nothing to work with."""
    if config.run.init_centres == "random":
        return
    if not config.run.init:
        raise UserError("--init-centres mean: needs --init, a model whose embeddings are averaged")
    loss = losses.find(config.loss.loss)
    if loss.needs != "classes" or "sub_centres" in loss.options:
        raise UserError(f"--init-centres mean: loss {config.loss.loss} does not have one centre a class")


def mean_centres(config: TrainConfig, num_classes: int, weights: Dict[str, Any], contexts: List[Any]) -> Any:
    """W (num_classes, d) of unit rows: each person's mean of normalised embeddings, normalised.

    weights: arg_params and aux_params of --init, together. The weight imprinting of Qi et al., "Low-Shot
    Learning with Imprinted Weights" (CVPR 2018), eq. 3. Raises UserError where a layer has no weights,
    and naming the person whose embeddings cancel or who has no photo.
    """
    import mxnet as mx

    symbol, side = embedding_symbol(config), config.data.image_size
    lacking = sorted(set(symbol.list_arguments() + symbol.list_auxiliary_states()) - set(weights) - {"data"})
    if lacking:
        raise UserError(
            f"--init-centres mean: --init {config.run.init} lacks {', '.join(lacking[:4])}, so it has no embedding"
        )
    embedder = Embedder(
        symbol, *embedding_arrays(symbol, side, weights, weights), contexts, (side, side), config.run.init
    )
    index = RecordIndex.open(config.data.data)
    sums = np.zeros((num_classes, embedder.embedding_size))
    name = os.path.basename(os.path.normpath(config.data.data))
    photos = iter(progress((image for _, _, image in index.images()), name, "image", len(index)))
    for start in range(0, len(index), BLOCK):
        labels = index.labels[start : start + BLOCK]
        embeddings = embedder.embed(itertools.islice(photos, BLOCK)).astype(np.float64)
        np.add.at(sums, labels, embeddings / np.maximum(np.linalg.norm(embeddings, axis=1, keepdims=True), 1e-12))
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    if not (lengths > 0).all():
        raise UserError(
            f"--init-centres mean: label {int(lengths.argmin())} of {config.data.data} has no mean embedding"
        )
    return mx.nd.array(sums / lengths)
