"""Label errors: far images, coinciding identities, and overlap with a verification set.

The functions take unit embeddings. Angles are in degrees.
"""

from __future__ import annotations

from typing import List, NamedTuple, Tuple

import numpy as np

from arcface_mx.metrics.angles import Centres, angles_to_others, degrees, identity_centres
from arcface_mx.metrics.similarity import BLOCK, NEAREST_BLOCK, cosine_blocks, nearest


class Match(NamedTuple):
    """Two rows and the angle between them."""

    first: int
    second: int
    angle: float


def far_images(
    unit: np.ndarray, labels: np.ndarray, count: int, limit: float
) -> Tuple[np.ndarray, np.ndarray, Centres]:
    """Find the images farther than `limit` degrees from the centre of the others of their identity 0…count−1.

    Returns a mask of these images, the angle of each image to the centre of the others, and the
    centres. An image is left out of the centre that it is compared with: a stranger among five
    images was 66 degrees from a centre that included him, and 81 from the centre of the others. The
    angles are computed a second time without the far images, so that a few strangers do not move a
    centre towards themselves. If all images of an identity are far, all of them count as in the
    first pass, and all are returned. The only image of an identity is never far.
    """
    near = angles_to_others(unit, labels, count, np.ones(len(labels), bool)) <= limit
    all_far = np.bincount(labels[near], minlength=count) == 0
    angles = angles_to_others(unit, labels, count, near | all_far[labels])
    far = angles > limit
    return far, angles, identity_centres(unit, labels, count, ~far)


def near_centres(centres: Centres, limit: float, block: Tuple[int, int] = BLOCK) -> List[Match]:
    """Pairs of identities whose centres are nearer than `limit` degrees, nearest first."""
    matches: List[Match] = []
    for rows, columns, cosines in cosine_blocks(centres.vectors.astype(np.float32), block=block):
        first, second = np.nonzero(cosines > np.cos(np.radians(limit)))
        angles = degrees(cosines[first, second].astype(np.float64))
        matches += map(Match, (first + rows.start).tolist(), (second + columns.start).tolist(), angles.tolist())
    return sorted(matches, key=lambda match: match.angle)


def overlap(centres: Centres, others: np.ndarray, limit: float, block: Tuple[int, int] = NEAREST_BLOCK) -> List[Match]:
    """Identities whose centre is nearer than `limit` degrees to an image of a verification set.

    `others` holds the unit embeddings of the verification set. A match is an identity and its
    nearest image.
    """
    cosines, images = nearest(centres.vectors.astype(np.float32), others.astype(np.float32), 1, block)
    angles = degrees(cosines[:, 0].astype(np.float64))
    rows = np.flatnonzero((angles < limit) & (centres.images > 0))
    rows = rows[np.argsort(angles[rows], kind="stable")]
    return [
        Match(row, image, angle)
        for row, image, angle in zip(rows.tolist(), images[rows, 0].tolist(), angles[rows].tolist())
    ]
