"""Batches mined from bags: several batches are embedded with the present weights, the hardest photos stay.

What is taken from a bag is a function of the weights and of the bag, and a bag one of its place in the
sample order, so that a run that goes on from a checkpoint mines the same.
"""

from __future__ import annotations

from typing import Any, Callable

import numpy as np

from arcface_mx.reader.mining import choose_rows
from arcface_mx.reader.record_reader import Batch


class BagMiner:
    """From a bag, a Batch of a multiple of `size` photos, to the `size` photos of its hardest triplets.

    embed: pixels, NDArray (size, 3, side, side) → embeddings (size, d), by the present weights.
    distance, margin, mining: see `mining.choose_rows`.
    """

    def __init__(
        self, embed: Callable[[Any], np.ndarray], size: int, distance: str, margin: float, mining: str
    ) -> None:
        self._embed, self._size, self._rule = embed, size, (distance, margin, mining)

    def __call__(self, bag: Batch) -> Batch:
        import mxnet as mx

        parts = [self._embed(bag.pixels[start : start + self._size]) for start in range(0, len(bag.labels), self._size)]
        rows = choose_rows(np.concatenate(parts), bag.labels, self._size, *self._rule)
        pixels = mx.nd.take(bag.pixels, mx.nd.array(rows, dtype="int32"))
        return Batch(pixels, bag.labels[rows], bag.records[rows])
