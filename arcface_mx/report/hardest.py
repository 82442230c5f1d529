"""The pairs that a model finds hardest: one person far apart, two people close together."""

from __future__ import annotations

from typing import List, NamedTuple, Tuple

import numpy as np

from arcface_mx.data.bins.read import PairSet

SHOWN = 8


class HardPair(NamedTuple):
    """Two encoded photos, their cosine, and their place in the set."""

    first: bytes
    second: bytes
    cosine: float
    number: int


def hardest_pairs(pairs: PairSet, scores: np.ndarray, count: int = SHOWN) -> Tuple[List[HardPair], List[HardPair]]:
    """(same people with the lowest scores, different people with the highest), hardest first.

    scores: (P,) cosines of the set's pairs.
    """
    same = np.flatnonzero(pairs.same)
    different = np.flatnonzero(~pairs.same)
    lowest = same[np.argsort(scores[same], kind="stable")[:count]]
    highest = different[np.argsort(-scores[different], kind="stable")[:count]]
    wanted = {
        int(number) for rows in (pairs.left, pairs.right) for chosen in (lowest, highest) for number in rows[chosen]
    }
    photos = {number: photo for number, photo in enumerate(pairs.images()) if number in wanted}

    def of(chosen: np.ndarray) -> List[HardPair]:
        return [
            HardPair(photos[int(pairs.left[k])], photos[int(pairs.right[k])], float(scores[k]), int(k)) for k in chosen
        ]

    return of(lowest), of(highest)
