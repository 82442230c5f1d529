"""One device's share of the classifier: its class centres, their gradient, and the graph over them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, List, Optional

import numpy as np

from arcface_mx.losses.base import CENTRES
from arcface_mx.parallel.graphs import ShardGraph, own_centre_graph
from arcface_mx.parallel.split import ELSEWHERE, Range, local_labels

if TYPE_CHECKING:
    from mxnet.context import Context
    from mxnet.ndarray import NDArray


class Shard:
    """The class centres first to last − 1 on one device. Parameters and gradients never leave it.

    Parameters
    ----------
    context : Context
    held : (int, int)
        First class, and last class + 1.
    graph : ShardGraph
    grad_req : dict of str to str
        "write", "add" or "null" for each parameter.
    shapes : dict of str to tuple of int
        Shapes of the graph's inputs.
    """

    def __init__(
        self, context: Context, held: Range, graph: ShardGraph, grad_req: Dict[str, str], shapes: Dict[str, Any]
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
        """Return the arrays that the graph reads as its parameters."""
        return self.parameters

    def _bind(self) -> None:
        import mxnet as mx

        arrays: Dict[str, NDArray] = dict(self.inputs, **self._bound())
        gradients: Dict[str, NDArray] = dict(self.gradients, **self.input_gradients)
        requests = {name: self._requests.get(name, "null") for name in arrays}
        symbol = self.graph.symbol
        self.executor = symbol.bind(self.context, _arguments(arrays, symbol), gradients, _arguments(requests, symbol))
        self._own_centre: Optional[Any] = None
        if self.graph.needs_own_centre:
            self.inside = mx.nd.zeros(self.inputs["label"].shape, self.context)
            inputs = {CENTRES: arrays[CENTRES], "label": self.inputs["label"], "inside": self.inside}
            added = {name: array for name, array in self.gradients.items() if name == CENTRES}
            own_requests = {name: "add" if name in added else "null" for name in inputs}
            self._own_centre = own_centre_graph(arrays[CENTRES].shape).bind(self.context, inputs, added, own_requests)

    def receive(self, labels: np.ndarray, scalars: Dict[str, NDArray], seed: int) -> np.ndarray:
        """Set the inputs of a batch.

        Parameters
        ----------
        labels : ndarray of int64, shape (N,)
            Labels of the run.
        scalars : dict of str to NDArray
            Scheduled scalars, shape (N,).
        seed : int
            Seed of what is drawn at random for this batch.

        Returns
        -------
        ndarray of float32, shape (N,)
            1 where this device holds the class of the sample.
        """
        local = self._graph_labels(local_labels(labels, self.held), seed)
        inside = (local != ELSEWHERE).astype(np.float32)
        self.inputs["label"][:] = local.astype(np.float32)
        for name, value in scalars.items():
            value.copyto(self.inputs[name])
        if self._own_centre:
            self.inside[:] = inside
        return inside

    def _graph_labels(self, local: np.ndarray, seed: int) -> np.ndarray:
        """Return local labels as the rows of the graph are numbered."""
        return local

    def own_centres(self) -> NDArray:
        """Return W_y, shape (N, d), of this device's samples, and zeros for the others."""
        return self._own_centre.forward(is_train=True)[0]  # type: ignore[union-attr]

    def forward(self, is_train: bool) -> NDArray:
        """Return the report, shape (K, N)."""
        return self.executor.forward(is_train=is_train)[0]

    def backward(self, gradient: NDArray) -> None:
        """Compute the gradients of parameters and embeddings from that of the report, shape (K, N)."""
        self.executor.backward([gradient])

    def own_centre_backward(self, gradient: NDArray) -> None:
        """Add to the gradient of the centres what comes through the samples' own centres.

        `gradient`, shape (N, d), is that of the own centres of all samples, summed over the devices.
        """
        if self.gradients:
            self._own_centre.backward([gradient])  # type: ignore[union-attr]

    def update(self, updater: Any, indices: Dict[str, int]) -> None:
        """Make one optimizer step on this device's parameters."""
        for name, gradient in self.gradients.items():
            updater(indices[name], gradient, self.parameters[name])


def _arguments(values: Dict[str, Any], symbol: Any) -> Dict[str, Any]:
    names: List[str] = symbol.list_arguments()
    return {name: values[name] for name in names}
