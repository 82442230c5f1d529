"""Find label errors by embedding: photos far from their identity, identities that coincide, overlap with a test set.

Pure arithmetic on embeddings; arcface_mx/faces/clean.py makes them. Angles are in degrees.
"""

from __future__ import annotations

from typing import List, NamedTuple, Optional, Tuple

import numpy as np

BLOCK = 2048  # rows of a block of cosines: 16 MB against 2,048 columns


class Centres(NamedTuple):
    """Directions of the n identities, float32, of length 1; zero rows where an identity has no photo."""

    vectors: np.ndarray  # n×d
    photos: np.ndarray  # n, how many photos made each


class Match(NamedTuple):
    """Two rows that are near each other."""

    first: int
    second: int
    angle: float


def units(vectors: np.ndarray) -> np.ndarray:
    """Rows scaled to length 1, float32; zero rows stay zero."""
    vectors = np.asarray(vectors, np.float32)
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 0)


def identity_centres(embeddings: np.ndarray, labels: np.ndarray, n: int, use: Optional[np.ndarray] = None) -> Centres:
    """Mean directions of the embeddings (N×d, of length 1) of each identity 0…n−1; use: N booleans."""
    sums = np.zeros((n, embeddings.shape[1]), np.float64)
    counts = np.zeros(n, np.int64)
    for start in range(0, len(labels), BLOCK):
        part = slice(start, start + BLOCK)
        chosen = np.ones(len(labels[part]), bool) if use is None else use[part]
        np.add.at(sums, labels[part][chosen], np.asarray(embeddings[part], np.float64)[chosen])
        np.add.at(counts, labels[part][chosen], 1)
    return Centres(units(sums), counts)


def angles_to_own_centre(embeddings: np.ndarray, labels: np.ndarray, centres: Centres) -> np.ndarray:
    """Angle of each photo to its identity's centre, N, degrees."""
    found = np.empty(len(labels))
    for start in range(0, len(labels), BLOCK):
        part = slice(start, start + BLOCK)
        cosine = np.einsum("nd,nd->n", embeddings[part], centres.vectors[labels[part]])
        found[part] = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
    return found


def far_photos(
    embeddings: np.ndarray, labels: np.ndarray, n: int, limit: float
) -> Tuple[np.ndarray, np.ndarray, Centres]:
    """Which photos are farther than `limit` from their centre, all angles, and the centres without them.

    The centres are computed again without the far photos, and the photos judged again, so that a
    few strangers cannot pull a centre to themselves. An identity whose photos are all far keeps its
    first centre, and all its photos are returned.
    """
    centres = identity_centres(embeddings, labels, n)
    near = angles_to_own_centre(embeddings, labels, centres) <= limit
    torn = np.bincount(labels[near], minlength=n) == 0
    centres = identity_centres(embeddings, labels, n, near | torn[labels])
    angles = angles_to_own_centre(embeddings, labels, centres)
    far = angles > limit
    return far, angles, identity_centres(embeddings, labels, n, ~far)


def near_centres(centres: Centres, limit: float) -> List[Match]:
    """Pairs of identities whose centres are nearer than `limit`, nearest first; every pair is looked at."""
    found: List[Match] = []
    count = len(centres.vectors)
    for top in range(0, count, BLOCK):
        for left in range(top, count, BLOCK):
            cosine = centres.vectors[top : top + BLOCK] @ centres.vectors[left : left + BLOCK].T
            rows, columns = np.nonzero(cosine > np.cos(np.radians(limit)))
            for row, column in zip(rows, columns):
                if top + row < left + column:
                    angle = np.degrees(np.arccos(min(1.0, float(cosine[row, column]))))
                    found.append(Match(int(top + row), int(left + column), float(angle)))
    return sorted(found, key=lambda match: match.angle)


def overlap(centres: Centres, others: np.ndarray, limit: float) -> List[Match]:
    """Identities of which a photo of a test set (M×d, of length 1) is nearer than `limit`.

    One Match an identity: its row, the nearest test photo, the angle.
    """
    best = np.full(len(centres.vectors), -1.0)
    which = np.zeros(len(centres.vectors), np.int64)
    for start in range(0, len(others), BLOCK):
        for top in range(0, len(best), BLOCK):
            cosine = centres.vectors[top : top + BLOCK] @ others[start : start + BLOCK].T
            column = cosine.argmax(1)
            value = cosine[np.arange(len(cosine)), column]
            better = value > best[top : top + BLOCK]
            best[top : top + BLOCK][better] = value[better]
            which[top : top + BLOCK][better] = start + column[better]
    angles = np.degrees(np.arccos(np.clip(best, -1, 1)))
    rows = np.flatnonzero((angles < limit) & (centres.photos > 0))
    return [
        Match(int(row), int(which[row]), float(angles[row])) for row in rows[np.argsort(angles[rows], kind="stable")]
    ]
