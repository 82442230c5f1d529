"""Angle statistics for the page: whole people of the training set, as many as a limit of photos allows."""

from __future__ import annotations

from typing import List, Optional, Sequence

import numpy as np

from arcface_mx.data.recordio.index import RecordIndex
from arcface_mx.metrics.angles import centre_angles, linked_identities, spread
from arcface_mx.model import Embedder
from arcface_mx.verify.angles import class_centres_of, embed_positions

HEADER = ("angle in degrees", "of", "value")
Rows = List[Sequence[str]]


def training_rows(run: str, folder: str, embedder: Embedder, most: int) -> Rows:
    """W-EC, W-Inter, Intra, Inter of the training set in `folder`; people are spread evenly over it."""
    index = RecordIndex.open(folder)
    chosen = _whole_people(index.labels, most)
    labels = index.labels[chosen]
    embeddings = embed_positions(embedder, index, folder, chosen)
    found, weight = spread(embeddings, labels, folder), class_centres_of(run)
    rows: Rows = []
    if weight is not None and len(weight) == index.num_classes:  # a loss with several centres a class has no W_j
        centres = centre_angles(weight, embeddings, labels)
        rows.append(
            (
                "W-EC: class centre to its embedding centre",
                f"{found.identities} people",
                degrees(centres.to_embeddings),
            )
        )
        rows.append(("W-Inter: class centre to the nearest other", f"{len(weight)} classes", degrees(centres.inter)))
    told = f"training, {found.images} photos of {found.identities} people"
    return rows + _spread_rows(told, found.intra, found.inter)


def set_rows(name: str, embeddings: np.ndarray, left: np.ndarray, right: np.ndarray, same: np.ndarray) -> Rows:
    """Intra and Inter of a verification set, from the embeddings of its images; none without a same pair."""
    images, labels = linked_identities(left, right, same, len(embeddings))
    if not len(images):
        return []
    found = spread(embeddings[images], labels, name)
    return _spread_rows(f"{name}, {found.identities} people", found.intra, found.inter)


def _spread_rows(told: str, intra: float, inter: Optional[float]) -> Rows:
    return [
        ("Intra: embedding to its person's centre", told, degrees(intra)),
        ("Inter: person's centre to the nearest other", told, degrees(inter)),
    ]


def _whole_people(labels: np.ndarray, most: int) -> np.ndarray:
    """Positions of all photos of people 0, k, 2k, …, with k such that there are at most about `most`."""
    people = int(labels.max()) + 1
    step = max(1, int(np.ceil(len(labels) / most)))
    kept = np.zeros(people, bool)
    kept[::step] = True
    kept[-1] |= kept.sum() < 2
    return np.flatnonzero(kept[labels])


def degrees(value: Optional[float]) -> str:
    return "-" if value is None else f"{value:.2f}"
