"""Angle statistics of the paper: how far embeddings lie from their centres, and centres from each other."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Dict, Optional, Tuple

import numpy as np

from arcface_mx.metrics.similarity import unit_vectors
from arcface_mx.util.errors import UserError

BLOCK = 1024  # rows of cosines held at a time: 400 MB at 100,000 classes, float32


@dataclass(frozen=True)
class Spread:
    """Angles in degrees of embeddings grouped by identity.

    intra: mean over images of the angle to their identity's embedding centre. inter: mean over
    identities of the smallest angle from one embedding centre to another; None with one identity.
    """

    intra: float
    inter: Optional[float]
    images: int
    identities: int

    def to_json(self) -> Dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class CentreAngles:
    """Angles in degrees of the classifier's centres W_j.

    to_embeddings: W-EC, mean over classes of the angle between W_j and its embedding centre.
    inter: W-Inter, mean over classes of the smallest angle from W_j to another; None with one class.
    """

    to_embeddings: float
    inter: Optional[float]

    def to_json(self) -> Dict[str, Any]:
        return asdict(self)


def embedding_centres(
    embeddings: np.ndarray, labels: np.ndarray, name: str = "embeddings"
) -> Tuple[np.ndarray, np.ndarray]:
    """(identities, centres): labels that occur, ascending, and the mean direction of each, (k, d), length 1.

    embeddings (N, d), any length; labels (N,). The centre is the normalised mean of the normalised
    embeddings; the paper says "embedding feature centre" and no more. Raises UserError where an
    embedding is zero or not finite, or an identity's embeddings cancel out.
    """
    unit = unit_vectors(np.asarray(embeddings, np.float64), name)
    identities, place = np.unique(labels, return_inverse=True)
    sums = np.zeros((len(identities), unit.shape[1]))
    np.add.at(sums, place, unit)
    return identities, unit_vectors(sums, name + ": embedding centres")


def spread(embeddings: np.ndarray, labels: np.ndarray, name: str = "embeddings") -> Spread:
    """Intra and Inter of the paper's table, from embeddings (N, d) and labels (N,)."""
    identities, centres = embedding_centres(embeddings, labels, name)
    own = centres[np.searchsorted(identities, labels)]
    unit = unit_vectors(np.asarray(embeddings, np.float64), name)
    intra = _degrees(np.einsum("nd,nd->n", unit, own)).mean()
    return Spread(float(intra), nearest_angle(centres), len(labels), len(identities))


def centre_angles(weight: np.ndarray, embeddings: np.ndarray, labels: np.ndarray) -> CentreAngles:
    """W-EC and W-Inter, from class centres (n, d) and embeddings (N, d) with labels (N,) in 0…n−1.

    Classes without an embedding count for W-Inter only. Raises UserError where shapes do not fit.
    """
    if weight.ndim != 2 or weight.shape[1] != embeddings.shape[1] or labels.max() >= len(weight):
        raise UserError(
            f"class centres are {weight.shape}; the embeddings have length {embeddings.shape[1]} and "
            f"labels up to {labels.max()}: another data set or network"
        )
    identities, centres = embedding_centres(embeddings, labels)
    unit = unit_vectors(np.asarray(weight, np.float64), "class centres")
    return CentreAngles(float(_degrees(np.einsum("kd,kd->k", unit[identities], centres)).mean()), nearest_angle(unit))


def nearest_angle(rows: np.ndarray, block: int = BLOCK) -> Optional[float]:
    """Mean over rows of the smallest angle to another row, degrees; None where there is one row.

    rows (n, d), length 1. Exact: all n² cosines, `block` rows at a time (float32, the winner's angle
    in float64, so that near-equal rows keep their small angle).
    """
    if len(rows) < 2:
        return None
    short, total = rows.astype(np.float32), 0.0
    for start in range(0, len(rows), block):
        cosines = short[start : start + block] @ short.T
        cosines[np.arange(len(cosines)), np.arange(start, start + len(cosines))] = -np.inf
        nearest = cosines.argmax(axis=1)
        # |a − b| = 2 sin(θ/2) keeps the digits that a cosine near 1 loses.
        chord = np.linalg.norm(rows[start : start + block] - rows[nearest], axis=1)
        total += float(np.degrees(2.0 * np.arcsin(np.minimum(chord / 2.0, 1.0))).sum())
    return total / len(rows)


def linked_identities(
    left: np.ndarray, right: np.ndarray, same: np.ndarray, images: int
) -> Tuple[np.ndarray, np.ndarray]:
    """(images, labels) of a pair set: images that a chain of same pairs links are one identity.

    A `.bin` tells pairs and no names: images in no same pair are left out, and a person whose same
    pairs are not linked counts as two, which lowers Inter.
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    links = coo_matrix((np.ones(int(same.sum())), (left[same], right[same])), shape=(images, images))
    labels = connected_components(links, directed=False)[1]
    kept = np.flatnonzero(np.bincount(labels)[labels] > 1)
    return kept, labels[kept]


def _degrees(cosines: np.ndarray) -> np.ndarray:
    return np.degrees(np.arccos(np.clip(cosines, -1.0, 1.0)))
