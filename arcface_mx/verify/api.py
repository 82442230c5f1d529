"""`arcface_mx.verify`: metrics of a model on pairs of images."""

from __future__ import annotations

import dataclasses
import time
from typing import Sequence, Tuple, Union

import numpy as np

from arcface_mx.data.bins.read import PairSet
from arcface_mx.metrics.verification import FOLDS, check_folds
from arcface_mx.model.api import as_embedder
from arcface_mx.model.embedder import Embedder, Image
from arcface_mx.util.errors import UserError
from arcface_mx.verify.images import embed_flips
from arcface_mx.verify.sets import SetResult, score_set, verify_set

__all__ = ["verify"]

Pairs = Sequence[Tuple[Image, Image, bool]]


def verify(
    model: Union[str, Embedder], pairs: Union[str, PairSet, Pairs], folds: int = FOLDS, flip_test: bool = True
) -> SetResult:
    """Measure how well a model tells same pairs from different pairs.

    Parameters
    ----------
    model : str or Embedder
        A run folder, PREFIX,EPOCH, an ONNX file, or what `arcface_mx.load` returned.
    pairs : str, PairSet or sequence of (image, image, bool)
        A verification set (`.bin`), or pairs of aligned crops, and whether both show one identity. An
        image is an array of shape (height, width, 3), uint8, RGB, an encoded file, or the path of one.
    folds : int
        Number of folds for the accuracy. Thresholds are chosen on the other folds.
    flip_test : bool
        Also measure the sum of the embeddings of image and mirror image.

    Returns
    -------
    SetResult
        ``result.none.accuracy`` is the accuracy without flip test, between 0 and 1.

    Raises
    ------
    UserError
        If the set or an image cannot be read, or there are too few pairs for the folds.
    """
    embedder = as_embedder(model)
    if isinstance(pairs, (str, PairSet)):
        return verify_set(embedder, pairs, folds, None, flip_test)
    start = time.time()
    if not len(pairs):
        raise UserError("`pairs` is empty")
    same = np.asarray([pair[2] for pair in pairs], bool)
    check_folds(len(same), folds, "pairs")
    embeddings = embed_flips(embedder, [image for pair in pairs for image in pair[:2]], None, flip_test)
    result = score_set(embedder.name, PairSet("pairs", [], np.arange(2 * len(same)), same), embeddings, folds, start)
    return dataclasses.replace(result, images=2 * len(same))
