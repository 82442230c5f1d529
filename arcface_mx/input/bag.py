"""Batches mined from bags: several batches are embedded with the present weights, the hardest photos stay.

What a bag gives is a function of the weights and of its place in the sample order, so that a run
that goes on from a checkpoint mines the same.
"""

from __future__ import annotations

from typing import Any, Callable, List

import numpy as np

from arcface_mx.input.mining import choose_rows
from arcface_mx.input.stream import Batch
from arcface_mx.input.tuples import TupleStream

# labels and embeddings of a bag → row numbers to train on
Choose = Callable[[np.ndarray, np.ndarray], np.ndarray]


class BagStream:
    """An endless iterator: each Batch is chosen from `bag` batches of `stream`.

    embed: pixels, NDArray (B, 3, side, side) → embeddings (B, d). choose: see `chooser`.
    """

    def __init__(self, stream: TupleStream, bag: int, embed: Callable[[Any], np.ndarray], choose: Choose) -> None:
        self.view, self._stream, self._bag, self._embed, self._choose = stream.view, stream, bag, embed, choose

    def __iter__(self) -> "BagStream":
        return self

    def __next__(self) -> Batch:
        import mxnet as mx

        parts: List[Batch] = [next(self._stream) for _ in range(self._bag)]
        labels = np.concatenate([part.labels for part in parts])
        rows = self._choose(labels, np.concatenate([self._embed(part.pixels) for part in parts]))
        pixels = mx.nd.take(mx.nd.concat(*[part.pixels for part in parts], dim=0), mx.nd.array(rows, dtype="int32"))
        return Batch(pixels, labels[rows], np.concatenate([part.records for part in parts])[rows])

    def close(self) -> None:
        self._stream.close()


def chooser(size: int, distance: str, margin: float, mining: str) -> Choose:
    """The rule that takes `size` rows: see `mining.choose_rows`."""
    return lambda labels, embeddings: choose_rows(embeddings, labels, size, distance, margin, mining)
