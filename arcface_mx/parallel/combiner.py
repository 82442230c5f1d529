"""Joins what the devices report into the loss of the batch, over the devices here and, if there are any, elsewhere."""

from __future__ import annotations

from typing import Any, List, Sequence, Tuple

import mxnet as mx
import numpy as np

from arcface_mx.parallel.communicator import Communicator
from arcface_mx.parallel.graphs import ShardGraph, joint_graph, partial_graph, summed_rows

NDArray = Any


class Combiner:
    """The joint graph on one device, for N images, embeddings (N, width) and the reports of `devices` devices.

    With several processes each computes the same loss of the whole batch; what it holds of the gradient
    is the part by its own devices' reports.
    """

    def __init__(
        self,
        shard: ShardGraph,
        num_classes: int,
        images: int,
        width: int,
        devices: Sequence[Any],
        communicator: Communicator,
        scale: float,
    ) -> None:
        self._communicator, self._terms = communicator, shard.terms
        graph = joint_graph(shard.terms, shard.rows, num_classes, scale, across=communicator.size > 1)
        self.outputs, self.needs_embedding = graph.outputs, graph.needs_embedding
        shapes = {"reports": (len(devices), len(shard.rows), images), "inside": (len(devices), images)}
        if communicator.size > 1:
            self._partial = partial_graph(shard.terms, shard.rows).simple_bind(devices[0], grad_req="null", **shapes)
            shapes["totals"] = (len(summed_rows(shard.terms)), images)
        if graph.needs_embedding:
            shapes.update(embedding=(images, width), person=(images,))
        requests = {name: "write" if name in ("reports", "embedding") else "null" for name in shapes}
        self._executor = graph.symbol.simple_bind(devices[0], grad_req=requests, **shapes)

    def forward(
        self, reports: List[NDArray], inside: List[np.ndarray], embedding: NDArray, labels: np.ndarray, is_train: bool
    ) -> List[NDArray]:
        """The graph's outputs, (N,) each, from a report (K, N) and `inside` (N,) of each device."""
        inputs = self._executor.arg_dict
        for number, report in enumerate(reports):
            report.copyto(inputs["reports"][number])
        inputs["inside"][:] = np.stack(inside)
        if self._communicator.size > 1:
            self._totals().copyto(inputs["totals"])
        if self.needs_embedding:
            embedding.copyto(inputs["embedding"])
            inputs["person"][:] = np.unique(labels, return_inverse=True)[1].astype(np.float32)
        return self._executor.forward(is_train=is_train)

    def _totals(self) -> NDArray:
        """`summed_rows` over all processes, (R, N). Two small exchanges: maxima, then sums."""
        inputs = self._executor.arg_dict
        rows = self._partial.forward(is_train=False, reports=inputs["reports"], inside=inputs["inside"])[0]
        # Highest logit without margin and log Σ exp; a sample is right where the process with the former says so.
        tops = self._communicator.all_reduce_max("logits", rows[:2])
        exponentials = mx.nd.exp(rows[1:2] - tops[1:2])
        correct = rows[-1:] * (rows[:1] == tops[:1])
        sums = self._communicator.all_reduce("reports", mx.nd.concat(exponentials, rows[2:-1], correct, dim=0))
        # Of two equal highest logits in two processes both may be right.
        return mx.nd.concat(tops[1:2] + mx.nd.log(sums[:1]), sums[1:-1], mx.nd.minimum(sums[-1:], 1.0), dim=0)

    def backward(self) -> Tuple[List[NDArray], List[NDArray]]:
        """(gradient of each device's report, the embeddings' own gradient where the loss has one: a list of one or none)."""
        self._executor.backward()
        gradients = self._executor.grad_dict
        # Every process computes the same of the latter, and they will be summed: one process gives it.
        own = [gradients["embedding"]] if self.needs_embedding and self._communicator.rank == 0 else []
        return list(gradients["reports"]), own
