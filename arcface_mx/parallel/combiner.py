"""Combines the reports of all devices and processes into the loss of the batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, List, Sequence, Tuple

import mxnet as mx
import numpy as np

from arcface_mx.losses.graph import LOSS_SCALE
from arcface_mx.parallel.communicator import Communicator
from arcface_mx.parallel.graphs import ShardGraph, combined_graph, partial_graph, summed_rows

if TYPE_CHECKING:
    from mxnet.context import Context
    from mxnet.ndarray import NDArray


class Combiner:
    """The combined graph on one device.

    With several processes each computes the loss of the whole batch. Its gradient is only the part by
    the reports of its own devices.

    Parameters
    ----------
    shard : ShardGraph
    num_classes : int
        n, over all devices.
    batch_shape : (int, int)
        N and d of the whole batch's embeddings.
    devices : sequence of Context
        Devices of this process; the first one combines.
    communicator : Communicator
    scaled : bool
        Whether the gradients are multiplied by a loss scale.
    """

    def __init__(
        self,
        shard: ShardGraph,
        num_classes: int,
        batch_shape: Tuple[int, int],
        devices: Sequence[Context],
        communicator: Communicator,
        scaled: bool,
    ) -> None:
        images = batch_shape[0]
        self._communicator, self._terms, self._scaled = communicator, shard.terms, scaled
        across = communicator.size > 1
        graph = combined_graph(shard.terms, shard.rows, num_classes, scaled, across)
        self.outputs, self.needs_embedding = graph.outputs, graph.needs_embedding
        shapes = {"reports": (len(devices), len(shard.rows), images), "inside": (len(devices), images)}
        if across:
            self._partial = partial_graph(shard.terms, shard.rows).simple_bind(devices[0], grad_req="null", **shapes)
            shapes["totals"] = (len(summed_rows(shard.terms)), images)
        if scaled:
            shapes[LOSS_SCALE] = (1,)
        if graph.needs_embedding:
            shapes.update(embedding=batch_shape, identity=(images,))
        requests = {name: "write" if name in ("reports", "embedding") else "null" for name in shapes}
        self._executor = graph.symbol.simple_bind(devices[0], grad_req=requests, **shapes)

    def forward(
        self,
        reports: List[NDArray],
        inside: List[np.ndarray],
        embedding: NDArray,
        labels: np.ndarray,
        scalars: Sequence[NDArray],
        is_train: bool,
    ) -> List[NDArray]:
        """Return the outputs of the graph, (N,) each, from a report (K, N) and `inside` (N,) of each device.

        The last of `scalars` holds the loss scale, if there is one.
        """
        inputs = self._executor.arg_dict
        for number, report in enumerate(reports):
            report.copyto(inputs["reports"][number])
        inputs["inside"][:] = np.stack(inside)
        if self._scaled:
            scalars[-1][:1].copyto(inputs[LOSS_SCALE])
        if self._communicator.size > 1:
            self._totals().copyto(inputs["totals"])
        if self.needs_embedding:
            embedding.copyto(inputs["embedding"])
            inputs["identity"][:] = np.unique(labels, return_inverse=True)[1].astype(np.float32)
        return self._executor.forward(is_train=is_train)

    def _totals(self) -> NDArray:
        """Return `summed_rows` over all processes, (R, N), by two small exchanges: maxima, then sums."""
        inputs = self._executor.arg_dict
        rows = self._partial.forward(is_train=False, reports=inputs["reports"], inside=inputs["inside"])[0]
        # The first row is the highest logit without margin, the second log Σ exp. A sample is correct if the
        # process that holds its class has the highest logit and says so.
        maxima = self._communicator.all_reduce_max("logits", rows[:2])
        exponentials = mx.nd.exp(rows[1:2] - maxima[1:2])
        correct = rows[-1:] * (rows[:1] == maxima[:1])
        sums = self._communicator.all_reduce("reports", mx.nd.concat(exponentials, rows[2:-1], correct, dim=0))
        log_sum_exp = maxima[1:2] + mx.nd.log(sums[:1])
        return mx.nd.concat(log_sum_exp, sums[1:], dim=0)

    def backward(self) -> Tuple[List[NDArray], List[NDArray]]:
        """Return the gradient of each device's report, and a list with the embeddings' gradient if there is one."""
        self._executor.backward()
        gradients = self._executor.grad_dict
        # Every process computes the same gradient of the embeddings. They are summed later, so only rank 0 gives it.
        embeddings = [gradients["embedding"]] if self.needs_embedding and self._communicator.rank == 0 else []
        return list(gradients["reports"]), embeddings
