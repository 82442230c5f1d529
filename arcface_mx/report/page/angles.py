"""Angle statistics for the page, from whole identities: as many as a limit on the images allows."""

from __future__ import annotations

from typing import List, Optional, Sequence

import numpy as np

from arcface_mx.data.recordio.index import RecordIndex
from arcface_mx.metrics.angles import centre_angles, linked_identities, spread
from arcface_mx.model import Embedder
from arcface_mx.report.angles import class_centres_of, embed_positions
from arcface_mx.report.scores import ScoredSet
from arcface_mx.report.table import number

HEADER = ("angle in degrees", "of", "value")
Rows = List[Sequence[str]]


def training_rows(run: str, folder: str, embedder: Embedder, max_images: int, step: Optional[int] = None) -> Rows:
    """W-EC, W-Inter, Intra and Inter of the training set in `folder`, on identities spread evenly over it.

    The class centres are those of the checkpoint of `step`, or of the latest one.
    """
    index = RecordIndex.open(folder)
    positions = _whole_identities(index.labels, max_images)
    labels, embeddings = index.labels[positions], embed_positions(embedder, index, folder, positions)
    angles, weight = spread(embeddings, labels, folder), class_centres_of(run, step)
    rows: Rows = []
    if weight is not None and len(weight) == index.num_classes:  # with several centres per class there is no W_j
        centres = centre_angles(weight, embeddings, labels)
        rows = [
            (
                "W-EC: class centre to embedding centre",
                f"{angles.identities} identities",
                number(centres.to_embeddings),
            ),
            ("W-Inter: class centre to the nearest other", f"{len(weight)} classes", number(centres.inter)),
        ]
    source = f"training set, {angles.images} images of {angles.identities} identities"
    return rows + _spread_rows(source, angles.intra, angles.inter)


def set_rows(scored: ScoredSet) -> Rows:
    """Intra and Inter of a verification set; none if it has no same pair."""
    left, right = scored.pairs.left, scored.pairs.right
    images, labels = linked_identities(left, right, scored.same, len(scored.embeddings))
    if not len(images):
        return []
    angles = spread(scored.embeddings[images], labels, scored.set)
    return _spread_rows(f"{scored.set}, {angles.identities} identities", angles.intra, angles.inter)


def _spread_rows(source: str, intra: float, inter: Optional[float]) -> Rows:
    return [
        ("Intra: embedding to the centre of its identity", source, number(intra)),
        ("Inter: centre of an identity to the nearest other", source, number(inter)),
    ]


def _whole_identities(labels: np.ndarray, max_images: int) -> np.ndarray:
    """Positions of all images of identities 0, k, 2k, …; k is such that there are about `max_images` at most."""
    kept = np.zeros(int(labels.max()) + 1, bool)
    kept[:: max(1, int(np.ceil(len(labels) / max_images)))] = True
    kept[-1] |= kept.sum() < 2
    return np.flatnonzero(kept[labels])
