"""Batches mined from bags: several batches are embedded by the present weights, and the hardest images stay.

The choice is a function of the weights and of the bag, and a bag is a function of its place in the order
of images. A run that continues from a checkpoint therefore mines the same batches, also where it draws.
"""

from __future__ import annotations

from typing import Any, Callable

import numpy as np

from arcface_mx.reader.mining import choose_rows
from arcface_mx.reader.record_reader import Batch


class BagMiner:
    """Chooses from a bag of several batches the images of its hardest triplets.

    Parameters
    ----------
    embed : callable
        Returns the embeddings (batch_size, d) of pixels (batch_size, 3, side, side).
    batch_size : int
        Number of images to keep. A bag holds a multiple of it.
    distance : str
        "angle" or "squared".
    margin : float
    mining : str
        See `choose_rows`.
    """

    def __init__(
        self, embed: Callable[[Any], np.ndarray], batch_size: int, distance: str, margin: float, mining: str
    ) -> None:
        self._embed, self._batch_size, self._rule = embed, batch_size, (distance, margin, mining)

    def __call__(self, bag: Batch) -> Batch:
        import mxnet as mx

        size = self._batch_size
        parts = [self._embed(bag.pixels[start : start + size]) for start in range(0, len(bag.labels), size)]
        # The images of a bag seed its draw, so that a run that continues draws the same.
        rows = choose_rows(np.concatenate(parts), bag.labels, size, *self._rule, seed=bag.records.tolist())
        pixels = mx.nd.take(bag.pixels, mx.nd.array(rows, dtype="int32"))
        return Batch(pixels, bag.labels[rows], bag.records[rows])
