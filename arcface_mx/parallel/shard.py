"""One device's share of the classifier: its centres, their gradient, and the graph over them."""

from __future__ import annotations

from typing import Any, Dict, List, Optional

import numpy as np

from arcface_mx.losses.losses import CENTRES
from arcface_mx.parallel.graphs import ShardGraph, own_graph
from arcface_mx.parallel.split import ELSEWHERE, Range, local_labels

NDArray = Any


class Shard:
    """Class centres first…last−1 on `context`. Parameters and their gradients never leave it.

    graph: for the classes bound (`ShardGraph`). grad_req: "write", "add" or "null", by parameter.
    """

    def __init__(
        self, context: Any, held: Range, graph: ShardGraph, grad_req: Dict[str, str], shapes: Dict[str, Any]
    ) -> None:
        import mxnet as mx

        self.context, self.held, self.graph = context, held, graph
        self.rows_a_class = {name: shape[0] // graph.classes for name, shape in graph.parameters.items()}
        self.parameters: Dict[str, NDArray] = {
            name: mx.nd.zeros(((held[1] - held[0]) * self.rows_a_class[name],) + tuple(shape[1:]), context)
            for name, shape in graph.parameters.items()
        }
        self.gradients = {
            name: mx.nd.zeros(shape, context) for name, shape in graph.parameters.items() if grad_req[name] != "null"
        }
        self.inputs = {name: mx.nd.zeros(shape, context) for name, shape in shapes.items()}
        passed = [name for name in ("embedding", "own_centre") if name in self.inputs]
        self.input_gradients = {name: mx.nd.zeros(shapes[name], context) for name in passed}
        self._requests: Dict[str, str] = dict(grad_req, **dict.fromkeys(passed, "write"))
        self._bind()

    def _bound(self) -> Dict[str, NDArray]:
        """The arrays that the graph reads as its parameters."""
        return self.parameters

    def _bind(self) -> None:
        import mxnet as mx

        arrays: Dict[str, NDArray] = dict(self.inputs, **self._bound())
        gradients: Dict[str, NDArray] = dict(self.gradients, **self.input_gradients)
        requests = {name: self._requests.get(name, "null") for name in arrays}
        self.executor = self.graph.symbol.bind(
            self.context, _only(arrays, self.graph.symbol), gradients, _only(requests, self.graph.symbol)
        )
        self._own: Optional[Any] = None
        if self.graph.needs_own:
            self.inside = mx.nd.zeros(self.inputs["label"].shape, self.context)
            inputs = {CENTRES: arrays[CENTRES], "label": self.inputs["label"], "inside": self.inside}
            added = {name: array for name, array in self.gradients.items() if name == CENTRES}
            own_requests = {name: "add" if name in added else "null" for name in inputs}
            self._own = own_graph().bind(self.context, inputs, added, own_requests)

    def receive(self, labels: np.ndarray, scheduled: Dict[str, NDArray], seed: int) -> np.ndarray:
        """The batch's labels (N,) of the run and the scheduled scalars; returns which samples are this device's, (N,).

        seed: of what is drawn at random for this batch, where anything is.
        """
        local = local_labels(labels, self.held)
        local = self._numbered(local, seed)
        inside = (local != ELSEWHERE).astype(np.float32)
        self.inputs["label"][:] = local.astype(np.float32)
        for name, value in scheduled.items():
            value.copyto(self.inputs[name])
        if self._own:
            self.inside[:] = inside
        return inside

    def _numbered(self, local: np.ndarray, seed: int) -> np.ndarray:
        """Local labels as the graph's rows are numbered."""
        return local

    def own_centres(self) -> NDArray:
        """W_y (N, d) of this device's samples, zeros for others."""
        return self._own.forward(is_train=True)[0]  # type: ignore[union-attr]

    def forward(self, is_train: bool) -> NDArray:
        """The report (K, N), from the inputs as they stand."""
        return self.executor.forward(is_train=is_train)[0]

    def backward(self, gradient: NDArray) -> None:
        """Gradients of parameters and embeddings, from that of the report (K, N)."""
        self.executor.backward([gradient])

    def own_backward(self, gradient: NDArray) -> None:
        """Add what comes through the own centres, from the gradient of all of them (N, d); after `backward`."""
        if self.gradients:
            self._own.backward([gradient])  # type: ignore[union-attr]

    def update(self, updater: Any, indices: Dict[str, int]) -> None:
        """One optimizer step on this device's parameters."""
        for name, gradient in self.gradients.items():
            updater(indices[name], gradient, self.parameters[name])


def _only(values: Dict[str, Any], symbol: Any) -> Dict[str, Any]:
    names: List[str] = symbol.list_arguments()
    return {name: values[name] for name in names}
