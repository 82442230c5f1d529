"""Angle statistics of the paper: from embeddings to their centres, and from centre to centre.

The paper does not define its "embedding feature centre". Here an embedding centre is the normalised
mean of an identity's normalised embeddings. All angles are in degrees.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Optional, Tuple

import numpy as np

from arcface_mx.metrics.similarity import NEAREST_BLOCK, blocks, nearest, unit_vectors
from arcface_mx.util.errors import UserError

ROWS = 2048  # embeddings that are converted to float64 at a time


@dataclass(frozen=True)
class Spread:
    """Angles of embeddings grouped by identity.

    Parameters
    ----------
    intra : float
        Mean over images of the angle to their identity's embedding centre.
    inter : float or None
        Mean over identities of the smallest angle from their embedding centre to another one; None
        for a single identity.
    images, identities : int
    """

    intra: float
    inter: Optional[float]
    images: int
    identities: int


@dataclass(frozen=True)
class CentreAngles:
    """Angles of the class centres W_j.

    Parameters
    ----------
    to_embeddings : float
        W-EC: mean over classes of the angle between W_j and the embedding centre.
    inter : float or None
        W-Inter: mean over classes of the smallest angle from W_j to another class centre; None for
        a single class.
    """

    to_embeddings: float
    inter: Optional[float]


class Centres(NamedTuple):
    """Mean directions of n identities and their numbers of images."""

    vectors: np.ndarray  # (n, d) float64, of length 1; zero for an identity without images
    images: np.ndarray  # (n,)


def identity_centres(unit: np.ndarray, labels: np.ndarray, count: int, chosen: Optional[np.ndarray] = None) -> Centres:
    """Mean directions of unit embeddings by label 0…count−1; `chosen` (N,) selects images."""
    sums, images = identity_sums(unit, labels, count, chosen)
    norms = np.linalg.norm(sums, axis=1, keepdims=True)
    return Centres(np.divide(sums, norms, out=np.zeros_like(sums), where=norms > 0), images)


def identity_sums(
    unit: np.ndarray, labels: np.ndarray, count: int, chosen: Optional[np.ndarray] = None
) -> Tuple[np.ndarray, np.ndarray]:
    """Sums (count, d) in float64 and numbers (count,) of unit embeddings by label; `chosen` (N,) selects images."""
    sums, images = np.zeros((count, unit.shape[1])), np.zeros(count, np.int64)
    for part in blocks(len(labels), ROWS):
        used = slice(None) if chosen is None else chosen[part]
        np.add.at(sums, labels[part][used], np.asarray(unit[part], np.float64)[used])
        np.add.at(images, labels[part][used], 1)
    return sums, images


def angles_to_others(unit: np.ndarray, labels: np.ndarray, count: int, chosen: np.ndarray) -> np.ndarray:
    """Angle of each unit embedding to the centre of the other `chosen` images of its label, shape (N,).

    An image is left out of its own centre, which it would pull towards itself. The angle is 0 if no
    other image is chosen.
    """
    sums, images = identity_sums(unit, labels, count, chosen)
    angles = np.zeros(len(labels))
    for part in blocks(len(labels), ROWS):
        rows, label, own = np.asarray(unit[part], np.float64), labels[part], chosen[part]
        others = sums[label] - own[:, None] * rows
        norms = np.linalg.norm(others, axis=1)
        known = (images[label] - own > 0) & (norms > 0)
        cosines = np.einsum("nd,nd->n", rows[known], others[known]) / norms[known]
        angles[part][known] = degrees(cosines)
    return angles


def angles_to_centres(unit: np.ndarray, labels: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Angle of each unit embedding to the centre of its label, shape (N,)."""
    angles = np.empty(len(labels))
    for part in blocks(len(labels), ROWS):
        angles[part] = degrees(np.einsum("nd,nd->n", unit[part], vectors[labels[part]]))
    return angles


def embedding_centres(
    embeddings: np.ndarray, labels: np.ndarray, name: str = "embeddings"
) -> Tuple[np.ndarray, np.ndarray]:
    """The labels that occur, ascending, and their embedding centres (k, d) in float64, of length 1.

    Raises UserError if an embedding is zero or not finite, or the embeddings of an identity cancel
    out.
    """
    return _centres_of_unit(unit_vectors(np.asarray(embeddings, np.float64), name), labels, name)


def _centres_of_unit(unit: np.ndarray, labels: np.ndarray, name: str) -> Tuple[np.ndarray, np.ndarray]:
    """The result of `embedding_centres`, from embeddings of length 1."""
    identities, place = np.unique(labels, return_inverse=True)
    centres = identity_centres(unit, place, len(identities)).vectors
    return identities, unit_vectors(centres, name + ": embedding centres")


def spread(embeddings: np.ndarray, labels: np.ndarray, name: str = "embeddings") -> Spread:
    """Intra and Inter of the paper's table.

    Parameters
    ----------
    embeddings : ndarray of shape (N, d)
        They need not be normalised.
    labels : ndarray of int, shape (N,)
    name : str
        What the error message calls the embeddings.

    Returns
    -------
    Spread

    Raises
    ------
    UserError
        If an embedding is zero or not finite, or the embeddings of an identity cancel out.
    """
    unit = unit_vectors(np.asarray(embeddings, np.float64), name)
    identities, centres = _centres_of_unit(unit, labels, name)
    intra = angles_to_centres(unit, np.searchsorted(identities, labels), centres).mean()
    return Spread(float(intra), nearest_angle(centres), len(labels), len(identities))


def centre_angles(weight: np.ndarray, embeddings: np.ndarray, labels: np.ndarray) -> CentreAngles:
    """W-EC and W-Inter of the paper's table.

    Parameters
    ----------
    weight : ndarray of shape (n, d)
        Class centres. Classes without an embedding count for W-Inter only.
    embeddings : ndarray of shape (N, d)
    labels : ndarray of int, shape (N,)
        Classes 0…n−1 of the embeddings.

    Returns
    -------
    CentreAngles

    Raises
    ------
    UserError
        If the shapes do not fit, or a row is zero or not finite.
    """
    if weight.ndim != 2 or weight.shape[1] != embeddings.shape[1] or labels.max() >= len(weight):
        raise UserError(
            f"the class centres have shape {weight.shape}, but the embeddings have length {embeddings.shape[1]} and "
            f"labels up to {labels.max()}; they come from another data set or network"
        )
    identities, centres = embedding_centres(embeddings, labels)
    unit = unit_vectors(np.asarray(weight, np.float64), "class centres")
    return CentreAngles(float(angles_to_centres(centres, identities, unit).mean()), nearest_angle(unit))


def nearest_angle(unit: np.ndarray, block: Tuple[int, int] = NEAREST_BLOCK) -> Optional[float]:
    """Mean over unit rows of the smallest angle to another row; None for a single row.

    The nearest row is searched in float32; its angle is computed in float64 from the chord
    |a − b| = 2 sin(θ/2), which keeps the digits that a cosine near 1 loses.
    """
    if len(unit) < 2:
        return None
    short = unit.astype(np.float32)
    _, rows = nearest(short, short, 2, block)
    other = np.where(rows[:, 0] == np.arange(len(unit)), rows[:, 1], rows[:, 0])
    chords = np.concatenate(
        [np.linalg.norm(unit[part] - unit[other[part]], axis=1) for part in blocks(len(unit), ROWS)]
    )
    return float(np.degrees(2.0 * np.arcsin(np.minimum(chords / 2.0, 1.0))).mean())


def linked_identities(
    left: np.ndarray, right: np.ndarray, same: np.ndarray, images: int
) -> Tuple[np.ndarray, np.ndarray]:
    """The images of a verification set that occur in a same pair, and their identities.

    A verification set has no names, so images that a chain of same pairs connects are one identity.
    An identity whose same pairs are not connected counts as two, which lowers Inter.
    """
    labels = linked_labels(left, right, same, images)
    kept = np.flatnonzero(np.bincount(labels)[labels] > 1)
    return kept, labels[kept]


def linked_labels(left: np.ndarray, right: np.ndarray, same: np.ndarray, images: int) -> np.ndarray:
    """The identity of each image of a verification set: images that a chain of same pairs connects are one."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    links = coo_matrix((np.ones(int(same.sum())), (left[same], right[same])), shape=(images, images))
    return np.asarray(connected_components(links, directed=False)[1])


def degrees(cosines: np.ndarray) -> np.ndarray:
    """Angles of cosines; rounding beyond ±1 is clipped."""
    return np.degrees(np.arccos(np.clip(cosines, -1.0, 1.0)))
