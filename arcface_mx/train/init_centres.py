"""Class centres that start at each identity's mean embedding (`init_centres` mean)."""

from __future__ import annotations

import itertools
import os
from typing import Any, Dict, List

import numpy as np

from arcface_mx.data.recordio.index import RecordIndex
from arcface_mx.losses.base import Loss
from arcface_mx.model.backbone import Backbone
from arcface_mx.model.embedder import Embedder
from arcface_mx.util.errors import UserError
from arcface_mx.util.progress import progress

BLOCK = 4096  # images whose embeddings are in memory at a time


def check_init_centres(init_centres: str, init: str, loss: Loss) -> None:
    """Raise UserError if class centres cannot start at mean embeddings."""
    if init_centres == "random":
        return
    if not init:
        raise UserError("`init_centres` mean needs `init`, a model whose embeddings are averaged")
    if loss.centres_per_class != 1:
        raise UserError(f"`init_centres` mean: the loss {loss.name} does not have one centre a class")


def mean_centres(
    backbone: Backbone, index: RecordIndex, weights: Dict[str, Any], contexts: List[Any], init: str
) -> Any:
    """Return the normalised mean of each identity's normalised embeddings.

    Parameters
    ----------
    backbone : Backbone
    index : RecordIndex
        The training set.
    weights : dict of str to NDArray
        Parameters and auxiliary states of `init`, together.
    contexts : list of Context
    init : str
        Name of the model, for messages.

    Returns
    -------
    NDArray of float32, shape (n, d)
        Rows have length 1.

    Raises
    ------
    UserError
        If a layer has no weights, or an identity has no image or embeddings that cancel.

    Notes
    -----
    Weight imprinting: eq. 3 of Qi et al., "Low-Shot Learning with Imprinted Weights", CVPR 2018.
    """
    import mxnet as mx

    symbol, side = backbone.symbol(), backbone.image_size
    missing = sorted(set(symbol.list_arguments() + symbol.list_auxiliary_states()) - set(weights) - {"data"})
    if missing:
        raise UserError(f"`init_centres` mean: {init} lacks {', '.join(missing[:4])}, so it gives no embedding")
    arrays = backbone.arrays_of(symbol, weights, weights)
    embedder = Embedder(symbol, *arrays, contexts, (side, side), init)
    sums = np.zeros((index.num_classes, embedder.embedding_size))
    name = os.path.basename(os.path.dirname(os.path.abspath(index.path)))
    images = iter(progress((image for _, _, image in index.images()), name, "image", len(index)))
    for start in range(0, len(index), BLOCK):
        labels = index.labels[start : start + BLOCK]
        embeddings = embedder.embed(itertools.islice(images, BLOCK)).astype(np.float64)
        np.add.at(sums, labels, embeddings / np.maximum(np.linalg.norm(embeddings, axis=1, keepdims=True), 1e-12))
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    if not (lengths > 0).all():
        raise UserError(f"`init_centres` mean: label {int(lengths.argmin())} of {index.path} has no mean embedding")
    return mx.nd.array(sums / lengths)
