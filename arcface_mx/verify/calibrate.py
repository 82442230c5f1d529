"""Measure the calibration of a model: score verification sets, or every pair of a labelled set."""

from __future__ import annotations

from typing import Dict, List, Optional, Sequence

import numpy as np

from arcface_mx.data.bins.read import read_pairs
from arcface_mx.metrics.calibration import PairScores, all_pair_scores, calibrate
from arcface_mx.metrics.similarity import pair_scores
from arcface_mx.model.embedder import Embedder
from arcface_mx.model.load import model_fingerprint
from arcface_mx.util.errors import UserError
from arcface_mx.util.progress import progress
from arcface_mx.verify.calibration_file import StoredCalibration
from arcface_mx.verify.images import embed_flips, labelled_images
from arcface_mx.verify.sets import embed_set, set_name

MAX_IMAGES = 3000  # of a labelled set: 4.5 million pairs


def calibrate_model(
    embedder: Embedder,
    model: str,
    sets: Sequence[str],
    batch_size: Optional[int] = None,
    flip_test: bool = True,
    max_images: int = MAX_IMAGES,
) -> StoredCalibration:
    """Measure thresholds without and, with `flip_test`, also with the flip test.

    `model` is what the embedder was loaded from: a run folder, PREFIX,EPOCH or an ONNX file. `sets` are
    verification sets, whose pairs are pooled, or a single face set or folder of identities, of
    which every pair of at most `max_images` images counts.
    """
    if all(source.endswith(".bin") for source in sets):
        scores = _verification_sets(embedder, sets, batch_size, flip_test)
    elif len(sets) == 1:
        scores = _labelled_set(embedder, sets[0], batch_size, flip_test, max_images)
    else:
        raise UserError("calibrate: give verification sets (.bin), or a single labelled set")
    return StoredCalibration(
        model_fingerprint(model, str(embedder.convention)),
        tuple(set_name(source) for source in sets),
        {flip: calibrate(pairs, ", ".join(sets)) for flip, pairs in scores.items()},
    )


def _verification_sets(
    embedder: Embedder, paths: Sequence[str], batch_size: Optional[int], flip_test: bool
) -> Dict[str, PairScores]:
    parts: Dict[str, List[PairScores]] = {}
    for pairs in [read_pairs(path) for path in paths]:
        for flip, embeddings in embed_set(embedder, pairs, batch_size, flip_test).items():
            scores = pair_scores(embeddings, pairs.left, pairs.right, pairs.path)
            parts.setdefault(flip, []).append(PairScores(scores[pairs.same], scores[~pairs.same]))
    return {
        flip: PairScores(
            np.concatenate([part.same for part in sets]), np.concatenate([part.different for part in sets])
        )
        for flip, sets in parts.items()
    }


def _labelled_set(
    embedder: Embedder, source: str, batch_size: Optional[int], flip_test: bool, max_images: int
) -> Dict[str, PairScores]:
    images, identities = labelled_images(source, max_images)
    shown = progress(images, set_name(source), "image", len(identities))
    embeddings = embed_flips(embedder, shown, batch_size, flip_test)
    return {flip: all_pair_scores(values, identities, source) for flip, values in embeddings.items()}
