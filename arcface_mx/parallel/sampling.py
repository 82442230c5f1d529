"""Sampled centres, as Partial FC (An et al., 2021): a step's softmax sees a part of the classes.

Each device takes its classes that are in the batch and draws the rest of its share evenly from its
other classes. Rows that were not drawn stay as they are, momentum and weight decay included, until
they are drawn again: the optimizer gets a row-sparse gradient, and MXNet's SGD updates those rows only.
"""

from __future__ import annotations

from typing import Any, Dict

import numpy as np

from arcface_mx.parallel.shard import Shard
from arcface_mx.parallel.split import ELSEWHERE

# Partial FC's own table: sampling costs accuracy and gains nothing while the classifier is a small
# part of a step. Below these, memory and time are the backbone's.
PAYS_FROM_CLASSES, PAYS_FROM_DEVICES = 2_000_000, 32


def sample_size(rate: float, classes: int, images: int) -> int:
    """Centres that take part in a step on a device with `classes`: its share, but never fewer than a batch may need."""
    return min(classes, max(int(round(rate * classes)), images))


def draw(present: np.ndarray, classes: int, size: int, random: np.random.Generator) -> np.ndarray:
    """`size` classes of 0…classes−1, ascending: all of `present`, the others drawn evenly from the rest."""
    present = np.unique(present)
    others = np.delete(np.arange(classes), present) if len(present) else np.arange(classes)
    drawn = random.choice(others, size - len(present), replace=False, shuffle=False)
    return np.sort(np.concatenate([present, drawn]))


def advice(rate: float, classes: int, devices: int) -> str:
    """One line on what sampling is worth at this size."""
    text = f"sampled centres: a step sees the batch's classes and, with them, {100 * rate:g} % of each device's centres"
    if classes < PAYS_FROM_CLASSES and devices < PAYS_FROM_DEVICES:
        text += "; it does not pay here (published: not below about 2M classes or 32 devices): --sample-rate 1 is exact"
    return text


class SampledShard(Shard):
    """A Shard whose graph sees `graph`'s number of classes, drawn anew for each batch."""

    def __init__(self, context: Any, held: Any, graph: Any, grad_req: Dict[str, str], shapes: Dict[str, Any]) -> None:
        import mxnet as mx

        self._working = {name: mx.nd.zeros(shape, context) for name, shape in graph.parameters.items()}
        self.chosen = np.arange(graph.classes)
        self._rows: Dict[str, Any] = {}
        super().__init__(context, held, graph, grad_req, shapes)

    def _bound(self) -> Dict[str, Any]:
        return self._working

    def _numbered(self, local: np.ndarray, seed: int) -> np.ndarray:
        """Choose this step's classes, fetch their rows, and number the labels as those stand."""
        import mxnet as mx

        random = np.random.default_rng([seed, self.held[0]])
        self.chosen = draw(local[local != ELSEWHERE], self.held[1] - self.held[0], self.graph.classes, random)
        for name, whole in self.parameters.items():
            count = self.rows_a_class[name]
            rows = (self.chosen[:, None] * count + np.arange(count)).ravel()
            self._rows[name] = mx.nd.array(rows, self.context, dtype="int64")
            mx.nd.take(whole, self._rows[name], out=self._working[name])
        return np.where(local == ELSEWHERE, ELSEWHERE, np.searchsorted(self.chosen, local))

    def update(self, updater: Any, indices: Dict[str, int]) -> None:
        import mxnet as mx

        for name, gradient in self.gradients.items():
            whole = self.parameters[name]
            rows = mx.nd.sparse.row_sparse_array((gradient, self._rows[name]), shape=whole.shape, ctx=self.context)
            updater(indices[name], rows, whole)
