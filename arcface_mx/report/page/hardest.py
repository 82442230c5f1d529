"""The pairs that a model finds hardest: same pairs with low scores, different pairs with high scores."""

from __future__ import annotations

from typing import List, NamedTuple, Tuple

import numpy as np

from arcface_mx.data.bins.read import PairSet

COUNT = 8


class HardPair(NamedTuple):
    """The two encoded images of a pair, their cosine, and the number of the pair in its set."""

    first: bytes
    second: bytes
    cosine: float
    number: int


def hardest_pairs(pairs: PairSet, scores: np.ndarray, count: int = COUNT) -> Tuple[List[HardPair], List[HardPair]]:
    """The `count` same pairs with the lowest and different pairs with the highest cosines (P,), hardest first."""
    same, different = np.flatnonzero(pairs.same), np.flatnonzero(~pairs.same)
    lowest = same[np.argsort(scores[same], kind="stable")[:count]]
    highest = different[np.argsort(-scores[different], kind="stable")[:count]]
    chosen = np.concatenate([lowest, highest])
    needed = set(pairs.left[chosen]) | set(pairs.right[chosen])
    images = {number: image for number, image in enumerate(pairs.images()) if number in needed}

    def hard_pairs(numbers: np.ndarray) -> List[HardPair]:
        return [HardPair(images[pairs.left[k]], images[pairs.right[k]], float(scores[k]), int(k)) for k in numbers]

    return hard_pairs(lowest), hard_pairs(highest)
