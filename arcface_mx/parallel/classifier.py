"""The classifier of a centre-parallel module: one shard on each device, and what combines them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, List, Sequence, Tuple

import mxnet as mx
import numpy as np

from arcface_mx.losses.base import Loss
from arcface_mx.parallel.assemble import assemble, split_by_shard, whole_shapes
from arcface_mx.parallel.combiner import Combiner
from arcface_mx.parallel.communicator import Communicator
from arcface_mx.parallel.exchange import all_gather, all_reduce, reduce_scatter
from arcface_mx.parallel.graphs import shard_graph
from arcface_mx.parallel.sampling import SampledShard, sample_size
from arcface_mx.parallel.shard import Shard
from arcface_mx.parallel.split import Range, check_labels, class_ranges

if TYPE_CHECKING:
    from mxnet.context import Context
    from mxnet.ndarray import NDArray


class SplitClassifier:
    """Class centres split over the devices of all processes, bound for one size of batch.

    Parameters
    ----------
    loss : ClassificationLoss
    num_classes : int
    contexts : sequence of Context
        Devices of this process.
    communicator : Communicator
    batch_shape : (int, int)
        Images of this process's batch, and size of the embedding.
    grad_req : dict of str to str
        "write", "add" or "null" for each parameter; the entry "" is for all others.
    scaled : bool
        Whether the gradients are multiplied by a loss scale.
    """

    def __init__(
        self,
        loss: Loss,
        num_classes: int,
        contexts: Sequence[Context],
        communicator: Communicator,
        batch_shape: Tuple[int, int],
        grad_req: Dict[str, str],
        scaled: bool,
    ) -> None:
        self._loss, self._num_classes, self._contexts = loss, num_classes, list(contexts)
        self._communicator, self._grad_req = communicator, grad_req
        self._local_images, self._width = batch_shape
        self._images = self._local_images * communicator.size
        self._sample_rate: float = getattr(loss, "sample_rate", 1.0)
        ranges = class_ranges(num_classes, len(self._contexts) * communicator.size)
        held = ranges[communicator.rank * len(self._contexts) :][: len(self._contexts)]
        self.shards = [self._make_shard(context, classes) for context, classes in zip(self._contexts, held)]
        self._graph = self.shards[0].graph
        whole_batch = self._images, self._width
        self._combiner = Combiner(self._graph, num_classes, whole_batch, self._contexts, communicator, scaled)
        self.outputs = self._combiner.outputs

    def _make_shard(self, context: Context, held: Range) -> Shard:
        classes = held[1] - held[0]
        sample = classes if self._sample_rate == 1.0 else sample_size(self._sample_rate, classes, self._images)
        graph = shard_graph(self._loss, sample, self._images, self._width)
        requests = {name: self._grad_req.get(name, self._grad_req[""]) for name in graph.parameters}
        rows, embeddings = (self._images,), (self._images, self._width)
        shapes: Dict[str, Tuple[int, ...]] = {"embedding": embeddings, "label": rows}
        shapes.update({name: rows for name in self._loss.scheduled_names})
        if graph.needs_own_centre:
            shapes["own_centre"] = embeddings
        kind = Shard if sample == classes else SampledShard
        return kind(context, held, graph, requests, shapes)

    @property
    def parameter_names(self) -> List[str]:
        """Names of the parameters, sorted."""
        return sorted(self.shards[0].parameters)

    @property
    def whole_shapes(self) -> Dict[str, Tuple[int, ...]]:
        """Shapes of the parameters over all classes."""
        return whole_shapes(self.shards, self._num_classes)

    @property
    def attributes(self) -> Dict[str, Dict[str, str]]:
        """Attributes of the graph's variables, which say how they are initialised."""
        return self._graph.symbol.attr_dict()

    def set_parameter(self, name: str, value: NDArray) -> None:
        """Copy the rows of a whole array to the devices."""
        for shard, part in zip(self.shards, split_by_shard(self.shards, name, value)):
            part.copyto(shard.parameters[name])

    def split(self, name: str, whole: NDArray) -> List[NDArray]:
        """Return the rows of a whole array for each device, on that device."""
        parts = split_by_shard(self.shards, name, whole)
        return [part.copyto(shard.context) for shard, part in zip(self.shards, parts)]

    def assemble(self, name: str, parts: Sequence[NDArray]) -> Any:
        """Return one whole array from the parts of the devices on rank 0, and None elsewhere. Collective call."""
        return assemble(self._communicator, self.shards, name, parts, self._num_classes)

    def start_batch(self, labels: np.ndarray) -> int:
        """Check the labels of a batch and return the seed by which its class centres are sampled.

        MXNet's own random state gives the seed, so that seeding MXNet repeats a step. Raises UserError
        for a label outside 0 to n − 1.
        """
        check_labels(labels, self._num_classes)
        if self._sample_rate == 1.0:
            return 0
        return int(mx.nd.random.randint(0, 1 << 31, shape=(1,)).asscalar())

    def forward(
        self,
        embeddings: Sequence[NDArray],
        rows: Sequence[slice],
        labels: np.ndarray,
        scalars: Sequence[NDArray],
        seed: int,
        is_train: bool,
    ) -> List[NDArray]:
        """Compute the loss of the whole batch.

        Parameters
        ----------
        embeddings : sequence of NDArray
            The embeddings of each device's part of this process's batch.
        rows : sequence of slice
            The rows of these parts.
        labels : ndarray of int64, shape (B,)
            Labels of this process's batch.
        scalars : sequence of NDArray, each of shape (B,)
            Scheduled scalars, in the order of `Loss.scheduled_names`, and the loss scale if there is one.
        seed : int
            What `start_batch` returned.
        is_train : bool

        Returns
        -------
        list of NDArray, each of shape (N,)
            Over the whole batch, in the order of `outputs`.
        """
        self._gather_embeddings(embeddings, rows)
        labels, named = self._gather_rows(labels, scalars)
        inside = [shard.receive(labels, named, seed) for shard in self.shards]
        if self._graph.needs_own_centre:
            inputs = [shard.inputs["own_centre"] for shard in self.shards]
            self._all_reduce("own centres", [shard.own_centres() for shard in self.shards], inputs)
        reports = [shard.forward(is_train) for shard in self.shards]
        embedding = self.shards[0].inputs["embedding"]
        return self._combiner.forward(reports, inside, embedding, labels, scalars, is_train)

    def backward(self, rows: Sequence[slice]) -> List[NDArray]:
        """Compute all gradients; return those of the embeddings, for each device its rows of the batch."""
        gradients, parts = self._combiner.backward()
        for shard, gradient in zip(self.shards, gradients):
            shard.backward(gradient.as_in_context(shard.context))
        if self._graph.needs_own_centre:
            own = [shard.input_gradients["own_centre"] for shard in self.shards]
            totals = [mx.nd.empty(own[0].shape, shard.context) for shard in self.shards]
            self._all_reduce("gradients of own centres", own, totals)
            for shard, total in zip(self.shards, totals):
                shard.own_centre_backward(total)
        parts = [shard.input_gradients["embedding"] for shard in self.shards] + parts
        if self._communicator.size > 1:
            local = reduce_scatter(parts, [slice(0, self._images)], self._contexts[:1])[0]
            parts = [self._communicator.reduce_scatter("gradients of embeddings", local)]
        return reduce_scatter(parts, rows, self._contexts)

    def _gather_embeddings(self, parts: Sequence[NDArray], rows: Sequence[slice]) -> None:
        """Put the embeddings of the whole batch into every shard's input."""
        if self._communicator.size > 1:
            local = mx.nd.empty((self._local_images, self._width), self._contexts[0])
            all_gather(parts, rows, [local])
            parts, rows = [self._communicator.all_gather("embeddings", local)], [slice(0, self._images)]
        all_gather(parts, rows, [shard.inputs["embedding"] for shard in self.shards])

    def _gather_rows(self, labels: np.ndarray, scalars: Sequence[NDArray]) -> Tuple[np.ndarray, Dict[str, NDArray]]:
        """Return labels and scheduled scalars of the whole batch, (N,) each."""
        gather = self._communicator.all_gather
        if self._communicator.size > 1:
            labels = gather("labels", mx.nd.array(labels, dtype="int32")).asnumpy().astype(np.int64)
        return labels, {name: gather(name, array) for name, array in zip(self._loss.scheduled_names, scalars)}

    def _all_reduce(self, name: str, parts: Sequence[NDArray], totals: Sequence[NDArray]) -> None:
        """Write the sum of `parts` over all processes to every array in `totals`."""
        all_reduce(parts, totals)
        if self._communicator.size > 1:
            all_reduce([self._communicator.all_reduce(name, totals[0])], totals)
