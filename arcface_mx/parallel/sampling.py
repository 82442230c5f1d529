"""Sampled class centres, as in Partial FC (An et al., ICCV workshops 2021): a step sees a part of the classes.

Each device takes those of its classes that are in the batch and draws the rest of its share evenly from
its other classes. Rows that are not drawn stay unchanged, momentum and weight decay included: the
optimizer receives a row-sparse gradient, and MXNet's SGD updates only those rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict

import numpy as np

from arcface_mx.parallel.shard import Shard
from arcface_mx.parallel.split import ELSEWHERE

if TYPE_CHECKING:
    from mxnet.ndarray import NDArray

# Partial FC's own table: sampling costs accuracy and gains nothing while the classifier is a small part of
# a step. Below these sizes, memory and time are the backbone's.
PAYS_FROM_CLASSES, PAYS_FROM_DEVICES = 2_000_000, 32


def sample_size(rate: float, classes: int, images: int) -> int:
    """Return how many class centres take part in a step on a device: its share, but enough for the batch."""
    return min(classes, max(int(round(rate * classes)), images))


def draw(present: np.ndarray, classes: int, size: int, random: np.random.Generator) -> np.ndarray:
    """Return `size` of the classes 0 to classes − 1, ascending: all of `present` and random others."""
    present = np.unique(present)
    others = np.delete(np.arange(classes), present) if len(present) else np.arange(classes)
    drawn = random.choice(others, size - len(present), replace=False, shuffle=False)
    return np.sort(np.concatenate([present, drawn]))


def advice(rate: float, classes: int, devices: int) -> str:
    """Return one line on what sampling is worth at this size."""
    text = f"sampled class centres: a step sees the classes of the batch and {100 * rate:g} % of each device's centres"
    if classes < PAYS_FROM_CLASSES and devices < PAYS_FROM_DEVICES:
        text += "; it gains nothing below about 2M classes or 32 devices (Partial FC): a sample rate of 1 is exact"
    return text


class SampledShard(Shard):
    """A Shard whose graph sees a sample of its classes, drawn anew for each batch."""

    def __init__(self, context: Any, held: Any, graph: Any, grad_req: Dict[str, str], shapes: Dict[str, Any]) -> None:
        import mxnet as mx

        self._working = {name: mx.nd.zeros(shape, context) for name, shape in graph.parameters.items()}
        self.drawn = np.arange(graph.classes)
        self._rows: Dict[str, NDArray] = {}
        super().__init__(context, held, graph, grad_req, shapes)

    def _bound(self) -> Dict[str, NDArray]:
        return self._working

    def _graph_labels(self, local: np.ndarray, seed: int) -> np.ndarray:
        """Draw this step's classes, copy their rows, and number the labels by their place among them."""
        import mxnet as mx

        random = np.random.default_rng([seed, self.held[0]])
        self.drawn = draw(local[local != ELSEWHERE], self.held[1] - self.held[0], self.graph.classes, random)
        for name, whole in self.parameters.items():
            count = self.rows_a_class[name]
            rows = (self.drawn[:, None] * count + np.arange(count)).ravel()
            self._rows[name] = mx.nd.array(rows, self.context, dtype="int64")
            mx.nd.take(whole, self._rows[name], out=self._working[name])
        return np.where(local == ELSEWHERE, ELSEWHERE, np.searchsorted(self.drawn, local))

    def update(self, updater: Any, indices: Dict[str, int]) -> None:
        import mxnet as mx

        for name, gradient in self.gradients.items():
            whole = self.parameters[name]
            rows = mx.nd.sparse.row_sparse_array((gradient, self._rows[name]), shape=whole.shape, ctx=self.context)
            updater(indices[name], rows, whole)
