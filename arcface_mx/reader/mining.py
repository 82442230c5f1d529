"""Which photos of a bag to train on: those of its hardest triplets. NumPy; no gradient is involved."""

from __future__ import annotations

import itertools
from typing import Callable, Dict

import numpy as np

FAR = 1e4  # stands for "no such pair"

# cosine of two embeddings → their distance, by the loss that mines
DISTANCES: Dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "angle": lambda cosine: np.arccos(np.clip(cosine, -1.0, 1.0)),
    "squared": lambda cosine: 2.0 - 2.0 * cosine,
}


def hardest_triplets(distance: np.ndarray, labels: np.ndarray, margin: float, mining: str) -> np.ndarray:
    """Triplets (T, 3) of row numbers (anchor, positive, negative), largest hinge first, hinges above 0 only.

    distance (M, M), labels (M,). mining as in `symbols/triplet.py`: "batch_hard" takes each anchor's
    farthest positive and nearest negative; "semi_hard" and "facenet" each positive pair with the
    nearest negative that is farther than the positive, "semi_hard" the farthest negative where none
    is. (Among negatives inside the margin "facenet" draws at random in a batch; in a bag the nearest
    of them is taken, so that the choice is a function of the weights.)
    """
    same = labels[:, None] == labels[None]
    negatives = np.where(same, FAR, distance)
    np.fill_diagonal(same, False)
    if mining == "batch_hard":
        anchor = np.flatnonzero(same.any(axis=1) & (negatives < FAR).any(axis=1))
        positive = np.where(same, distance, -FAR)[anchor].argmax(axis=1)
        negative = negatives[anchor].argmin(axis=1)
    else:
        anchor, positive = np.nonzero(same)
        negative = _farther(negatives, anchor, distance[anchor, positive], mining == "semi_hard")
        known = negative >= 0
        anchor, positive, negative = anchor[known], positive[known], negative[known]
    hinge = distance[anchor, positive] - distance[anchor, negative] + margin
    order = np.argsort(-hinge, kind="stable")
    order = order[hinge[order] > 0]
    return np.stack([anchor, positive, negative], axis=1)[order]


def _farther(negatives: np.ndarray, anchor: np.ndarray, limit: np.ndarray, or_farthest: bool) -> np.ndarray:
    """For each pair its anchor's nearest negative beyond `limit`; where none is, the farthest one, or −1."""
    order = np.argsort(negatives, axis=1, kind="stable")
    ordered = np.take_along_axis(negatives, order, axis=1)
    counts = (negatives < FAR).sum(axis=1)
    place = np.empty(len(anchor), np.int64)
    bounds = np.searchsorted(anchor, np.arange(len(negatives) + 1))  # anchors ascend
    for row in range(len(negatives)):
        own = slice(bounds[row], bounds[row + 1])
        place[own] = np.searchsorted(ordered[row], limit[own], side="right")
    beyond = place >= counts[anchor]
    found = order[anchor, np.minimum(place, np.maximum(counts[anchor] - 1, 0))]
    missing = (counts[anchor] == 0) | (beyond & (not or_farthest))
    return np.where(missing, -1, found)


def choose_rows(
    embeddings: np.ndarray, labels: np.ndarray, size: int, distance: str, margin: float, mining: str
) -> np.ndarray:
    """`size` distinct rows of a bag (M, d), M >= size: those of its hardest triplets, then the first others.

    Rows come in the bag's order. Embeddings of any length above 0.
    """
    unit = embeddings / np.maximum(np.linalg.norm(embeddings, axis=1, keepdims=True), 1e-12)
    triplets = hardest_triplets(DISTANCES[distance](unit @ unit.T), labels, margin, mining)
    chosen: Dict[int, None] = {}  # a set that keeps its order
    for triplet in triplets.tolist():
        if len(chosen) >= size:
            break
        chosen.update(dict.fromkeys(triplet))
    others = (row for row in range(len(labels)) if row not in chosen)
    return np.sort(list(itertools.islice(itertools.chain(chosen, others), size))).astype(np.int64)
