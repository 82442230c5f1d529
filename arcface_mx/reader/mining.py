"""Which images of a bag to train on: those of its hardest triplets, or of random ones. NumPy only."""

from __future__ import annotations

import itertools
from typing import Callable, Dict, Iterable, Iterator, Sequence, Tuple, Union

import numpy as np

NO_PAIR = 1e4  # distance of a pair that does not exist
Seed = Union[int, Sequence[int]]

# Distance of two embeddings from their cosine, by the loss that mines.
DISTANCES: Dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "angle": lambda cosine: np.arccos(np.clip(cosine, -1.0, 1.0)),
    "squared": lambda cosine: 2.0 - 2.0 * cosine,
}


def hardest_triplets(distance: np.ndarray, labels: np.ndarray, margin: float, mining: str) -> np.ndarray:
    """Return the triplets whose hinge is above 0, largest hinge first.

    Parameters
    ----------
    distance : ndarray, shape (M, M)
    labels : ndarray, shape (M,)
    margin : float
    mining : str
        As in `symbols/triplet.py`. "batch_hard" takes the farthest positive and the nearest negative
        of each anchor. "semi_hard" and "facenet" take each positive pair with the nearest negative
        that is farther than the positive. If there is none, "semi_hard" takes the farthest negative.
        Of "facenet" this function takes the nearest; `choose_rows` draws (`random_triplets`).

    Returns
    -------
    ndarray of int, shape (T, 3)
        Rows of anchor, positive and negative.
    """
    same = labels[:, None] == labels[None]
    negatives = np.where(same, NO_PAIR, distance)
    np.fill_diagonal(same, False)
    if mining == "batch_hard":
        anchor = np.flatnonzero(same.any(axis=1) & (negatives < NO_PAIR).any(axis=1))
        positive = np.where(same, distance, -NO_PAIR)[anchor].argmax(axis=1)
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
    """Return for each pair its anchor's nearest negative beyond `limit`; if there is none, the farthest one, or −1."""
    order = np.argsort(negatives, axis=1, kind="stable")
    ordered = np.take_along_axis(negatives, order, axis=1)
    counts = (negatives < NO_PAIR).sum(axis=1)
    place = np.empty(len(anchor), np.int64)
    bounds = np.searchsorted(anchor, np.arange(len(negatives) + 1))  # anchors ascend
    for row in range(len(negatives)):
        pairs = slice(bounds[row], bounds[row + 1])
        place[pairs] = np.searchsorted(ordered[row], limit[pairs], side="right")
    beyond = place >= counts[anchor]
    nearest = order[anchor, np.minimum(place, np.maximum(counts[anchor] - 1, 0))]
    missing = (counts[anchor] == 0) | (beyond & (not or_farthest))
    return np.where(missing, -1, nearest)


def random_triplets(
    unit: np.ndarray, labels: np.ndarray, distance: str, margin: float, random: np.random.Generator
) -> Iterator[Tuple[int, int, int]]:
    """Yield a random negative for each positive pair of a bag, in random order, as the released sampler does.

    Parameters
    ----------
    unit : ndarray, shape (M, d)
        Embeddings of length 1.
    labels : ndarray, shape (M,)
    distance : str
        "angle" or "squared".
    margin : float
    random : numpy.random.Generator

    Yields
    ------
    tuple of int
        Rows of anchor, positive and negative. The negative is farther than the positive, by less than
        the margin. A pair without such a negative is left out.
    """
    anchors, positives = np.nonzero(np.triu(labels[:, None] == labels[None], 1))
    for pair in random.permutation(len(anchors)):
        anchor, positive = anchors[pair], positives[pair]
        row = DISTANCES[distance](unit @ unit[anchor])
        inside = (row > row[positive]) & (row < row[positive] + margin) & (labels != labels[anchor])
        negatives = np.flatnonzero(inside)
        if len(negatives):
            yield int(anchor), int(positive), int(random.choice(negatives))


def choose_rows(
    embeddings: np.ndarray, labels: np.ndarray, size: int, distance: str, margin: float, mining: str, seed: Seed = 0
) -> np.ndarray:
    """Return the rows of a bag's hardest triplets, or of random ones, filled up with its first other rows.

    Parameters
    ----------
    embeddings : ndarray, shape (M, d)
        Of any length above 0.
    labels : ndarray, shape (M,)
    size : int
        Number of rows, at most M.
    distance : str
        "angle" or "squared".
    margin : float
    mining : str
        "facenet" for `random_triplets`; for the others see `hardest_triplets`.
    seed : int or sequence of int
        Of the random triplets.

    Returns
    -------
    ndarray of int64, shape (size,)
        Ascending.
    """
    unit = embeddings / np.maximum(np.linalg.norm(embeddings, axis=1, keepdims=True), 1e-12)
    triplets: Iterable[Sequence[int]]
    if mining == "facenet":
        triplets = random_triplets(unit, labels, distance, margin, np.random.default_rng(seed))
    else:
        triplets = hardest_triplets(DISTANCES[distance](unit @ unit.T), labels, margin, mining).tolist()
    chosen: Dict[int, None] = {}  # a set that keeps its order
    for triplet in triplets:
        if len(chosen) >= size:
            break
        chosen.update(dict.fromkeys(triplet))
    others = (row for row in range(len(labels)) if row not in chosen)
    return np.sort(list(itertools.islice(itertools.chain(chosen, others), size))).astype(np.int64)
