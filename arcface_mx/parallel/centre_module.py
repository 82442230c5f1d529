"""Class-centre parallel training behind MXNet's BaseModule: the paper's "parallel acceleration".

The backbone is data-parallel, an ordinary Module. The classifier's n×d centres are split by class:
each device holds n/D of them with gradient and momentum, and they never leave it. A step:

    1  each device computes the embeddings of its part of the batch
    2  the embeddings are gathered: every device gets all N×d
    3  each device computes the logits of all N over its own classes, and reports a few numbers a sample
    4  the reports are joined into the loss; its gradient by the reports goes back to the devices
    5  each device computes the gradient of its centres (kept) and of all embeddings
    6  the gradients of the embeddings are summed, each device gets those of its part, and goes back

Over several processes (`communicator`) the devices are those of all: embeddings and labels are gathered
from all (2), of the reports a maximum and sums are exchanged (4), and the embeddings' gradients are
summed over all (6). Each process has the backbone of its own part of the batch.
"""

from __future__ import annotations

import logging
import warnings
from types import SimpleNamespace
from typing import Any, Dict, List, Optional, Sequence, Tuple

import mxnet as mx
import numpy as np

from arcface_mx.config import LossConfig
from arcface_mx.parallel.assemble import collected, parts_of, whole_shapes
from arcface_mx.parallel.combiner import Combiner
from arcface_mx.parallel.communicator import Communicator
from arcface_mx.parallel.exchange import all_gather, all_reduce, reduce_scatter
from arcface_mx.parallel.graphs import shard_graph
from arcface_mx.parallel.sampling import SampledShard, sample_size
from arcface_mx.parallel.shard import Shard
from arcface_mx.parallel.split import check_labels, class_ranges
from arcface_mx.util.errors import UserError


class CentreParallelModule(mx.mod.BaseModule):
    """A Module whose classifier is split by class over `context`.

    embedding   Symbol (N, d) of the input "data".
    loss        the loss, any of losses.py with class logits. num_classes: n.
    gradient_scale  factor on all gradients, by which the optimizer's rescale_grad must divide.
    scheduled   names of the loss's scheduled scalars, inputs (N,) after "data" in a batch.
    communicator       the processes over which the classes are split too; None is one.
    Labels of a batch are (N,), any dtype that holds them; int32 for more than 2²⁴ classes.
    `get_params` gives whole arrays, as Module does, so that a checkpoint fits any number of devices; of
    several processes all must call it, and rank 0 gets the centres. Shapes and outputs are a process's own.
    """

    def __init__(
        self,
        embedding: Any,
        loss: LossConfig,
        num_classes: int,
        context: Sequence[Any],
        scheduled: Sequence[str] = (),
        fixed_param_names: Sequence[str] = (),
        gradient_scale: float = 1.0,
        communicator: Optional[Communicator] = None,
        logger: Any = logging,
    ) -> None:
        super().__init__(logger=logger)
        self._loss, self._num_classes, self._context = loss, num_classes, list(context)
        self._scale = gradient_scale
        self._scheduled, self._fixed = tuple(scheduled), set(fixed_param_names)
        self._communicator = communicator or Communicator()
        everywhere = class_ranges(num_classes, len(self._context) * self._communicator.size)
        self._held = everywhere[self._communicator.rank * len(self._context) :][: len(self._context)]
        self._symbol = embedding
        body_fixed = [name for name in embedding.list_arguments() if name in self._fixed]
        self._body = mx.mod.Module(
            embedding,
            data_names=["data"],
            label_names=None,
            context=self._context,
            fixed_param_names=body_fixed,
            logger=logger,
        )
        self._shards: List[Shard] = []
        self.binded: bool
        self.params_initialized: bool
        self.optimizer_initialized: bool

    # ------------------------------------------------------------ what it takes and gives

    @property
    def data_names(self) -> List[str]:
        return ["data", *self._scheduled]

    @property
    def label_names(self) -> List[str]:
        return ["label"]

    @property
    def output_names(self) -> List[str]:
        return [name + "_output" for name in self._joiner.outputs]

    @property
    def data_shapes(self) -> List[Any]:
        return self._data_shapes

    @property
    def label_shapes(self) -> List[Any]:
        return self._label_shapes

    @property
    def output_shapes(self) -> List[Tuple[str, Tuple[int]]]:
        return [(name, (self._own_images,)) for name in self.output_names]

    @property
    def centre_parameters(self) -> List[str]:
        """Names of the parameters that are split by class."""
        return sorted(self._shards[0].parameters)

    @property
    def head_executors(self) -> List[Any]:
        """The classifier's executor on each device."""
        return [shard.executor for shard in self._shards]

    @property
    def whole_shapes(self) -> Dict[str, Tuple[int, ...]]:
        """Shapes of the split parameters over all classes."""
        return whole_shapes(self._shards, self._num_classes)

    @property
    def collective(self) -> bool:
        """Whether other processes take part in every forward pass."""
        return self._communicator.size > 1

    @property
    def body(self) -> Any:
        """The data-parallel backbone, an ordinary Module."""
        return self._body

    @property
    def _param_names(self) -> List[str]:
        return self._body._param_names + self.centre_parameters

    @property
    def _exec_group(self) -> Any:
        """What guards and checkpoints look at, as they find it in Module: arrays by parameter and device."""
        body, shards = self._body._exec_group, self._shards
        weights = [[shard.parameters[name] for shard in shards] for name in self.centre_parameters]
        gradients = [[shard.gradients.get(name) for shard in shards] for name in self.centre_parameters]
        return SimpleNamespace(
            execs=body.execs,
            aux_arrays=body.aux_arrays,
            param_arrays=body.param_arrays + weights,
            grad_arrays=body.grad_arrays + gradients,
        )

    # ------------------------------------------------------------ memory

    def bind(
        self,
        data_shapes: Any,
        label_shapes: Any = None,
        for_training: bool = True,
        inputs_need_grad: bool = False,
        force_rebind: bool = False,
        shared_module: Any = None,
        grad_req: str = "write",
    ) -> None:
        """As Module.bind; `shared_module` is not supported. The batch must be a multiple of the devices."""
        if self.binded and not force_rebind:
            return
        if shared_module is not None:
            raise NotImplementedError("CentreParallelModule does not share memory with another module")
        self._data_shapes = [
            shape if isinstance(shape, mx.io.DataDesc) else mx.io.DataDesc(*shape) for shape in data_shapes
        ]
        self._label_shapes = [
            shape if isinstance(shape, mx.io.DataDesc) else mx.io.DataDesc(*shape) for shape in label_shapes
        ]
        self._own_images = self._data_shapes[0].shape[0]
        self._images = self._own_images * self._communicator.size
        if self._loss.sample_rate < 1.0 and grad_req == "add":
            raise UserError(
                "--accumulate adds gradients of the same centres; with --sample-rate below 1 each batch has others"
            )
        if self._own_images % len(self._context):
            raise ValueError(f"a batch of {self._own_images} does not split evenly over {len(self._context)} devices")
        self._body.bind(self._data_shapes[:1], None, for_training, inputs_need_grad, force_rebind, None, grad_req)
        self._parts = self._body._exec_group.slices
        self._width = self._body.output_shapes[0][1][1]
        self._shards = [self._shard(context, held, grad_req) for context, held in zip(self._context, self._held)]
        self._joiner = Combiner(
            self._shards[0].graph,
            self._num_classes,
            self._images,
            self._width,
            self._context,
            self._communicator,
            self._scale,
        )
        self.binded, self.for_training, self.inputs_need_grad = True, for_training, inputs_need_grad

    def _shard(self, context: Any, held: Tuple[int, int], grad_req: str) -> Shard:
        classes, rate = held[1] - held[0], self._loss.sample_rate
        seen = classes if rate == 1.0 else sample_size(rate, classes, self._images)
        graph = shard_graph(self._loss, seen, self._images, self._width, self._scheduled)
        requests = {name: "null" if name in self._fixed else grad_req for name in graph.parameters}
        kind = Shard if seen == classes else SampledShard
        return kind(context, held, graph, requests, self._shard_inputs(graph))

    def _shard_inputs(self, graph: Any) -> Dict[str, Tuple[int, ...]]:
        rows, whole = (self._images,), (self._images, self._width)
        shapes: Dict[str, Tuple[int, ...]] = {"embedding": whole, "label": rows}
        shapes.update({name: rows for name in self._scheduled})
        if graph.needs_own:
            shapes["own_centre"] = whole
        return shapes

    # ------------------------------------------------------------ parameters

    def init_params(
        self,
        initializer: Any = mx.init.Uniform(0.01),
        arg_params: Optional[Dict[str, Any]] = None,
        aux_params: Optional[Dict[str, Any]] = None,
        allow_missing: bool = False,
        force_init: bool = False,
        allow_extra: bool = False,
    ) -> None:
        """As Module.init_params, drawing the same numbers in the same order as one device would."""
        if self.params_initialized and not force_init:
            return
        assert self.binded, "bind comes first"
        given = dict(arg_params or {})
        own = dict(self._body._arg_params)
        own.update(self.whole_shapes)
        attributes = {**self._shards[0].graph.symbol.attr_dict(), **self._symbol.attr_dict()}
        if not allow_extra and set(given) - set(own):
            raise RuntimeError(f"{', '.join(sorted(set(given) - set(own)))}: no parameter of this network")
        for name in sorted(own):
            value = given.get(name)
            if value is None:
                if arg_params is not None and not allow_missing:
                    raise RuntimeError(f"{name} is not presented")
                value = mx.nd.zeros(own[name] if isinstance(own[name], tuple) else own[name].shape)
                initializer(mx.init.InitDesc(name, attributes.get(name)), value)
            if name in self._body._arg_params:
                given[name] = value
                continue
            for shard, part in zip(self._shards, parts_of(self._shards, name, value)):
                part.copyto(shard.parameters[name])
        body = {name: given[name] for name in self._body._arg_params}
        self._body.init_params(initializer, body, aux_params, allow_missing, force_init, allow_extra)
        self.params_initialized = True

    def get_params(self) -> Tuple[Dict[str, Any], Dict[str, Any]]:
        """Whole arrays on the CPU, backbone and centres (the latter on rank 0)."""
        arg_params, aux_params = self._body.get_params()
        arg_params = dict(arg_params)
        for name in self.centre_parameters:
            self._collect(name, [shard.parameters[name] for shard in self._shards], arg_params)
        return arg_params, aux_params

    def _collect(self, name: str, parts: List[Any], found: Dict[str, Any]) -> None:
        whole = collected(self._communicator, self._shards, name, parts, self._num_classes)
        if whole is not None:
            found[name] = whole

    # ------------------------------------------------------------ optimizer

    def init_optimizer(
        self,
        kvstore: Any = "local",
        optimizer: Any = "sgd",
        optimizer_params: Any = (("learning_rate", 0.01),),
        force_init: bool = False,
    ) -> None:
        """As Module.init_optimizer: one optimizer object for backbone and centres.

        Centres get a state for each device; `kvstore` adds the backbone's gradients only.
        """
        assert self.binded and self.params_initialized
        if self.optimizer_initialized and not force_init:
            return
        devices = len(self._context)
        names = {
            number * devices + device: name
            for number, name in enumerate(self._body._param_names)
            for device in range(devices)
        }
        self._indices: List[Dict[str, int]] = []
        for _ in self._shards:
            self._indices.append({name: len(names) + number for number, name in enumerate(self.centre_parameters)})
            names.update({index: name for name, index in self._indices[-1].items()})
        if isinstance(optimizer, str):
            options = dict(optimizer_params)
            options.setdefault("rescale_grad", 1.0 / self._images)
            optimizer = mx.optimizer.create(optimizer, param_idx2name=names, **options)
        with warnings.catch_warnings():  # Module wonders about rescale_grad, which was chosen here
            warnings.simplefilter("ignore")
            self._body.init_optimizer(kvstore, optimizer, force_init=force_init)
        self._optimizer = optimizer
        self._updater = mx.optimizer.get_updater(optimizer)
        self.optimizer_initialized = True

    def update(self) -> None:
        """One step: the backbone's gradients are added over devices, the centres' stay where they are."""
        self._body.update()
        for shard, indices in zip(self._shards, self._indices):
            shard.update(self._updater, indices)

    # ------------------------------------------------------------ a step

    def forward(self, data_batch: Any, is_train: Optional[bool] = None) -> None:
        """Steps 1 to 4's loss. Raises UserError for a label outside 0…n−1."""
        assert self.binded and self.params_initialized
        is_train = self.for_training if is_train is None else is_train
        labels = data_batch.label[0].asnumpy().astype(np.int64)
        check_labels(labels, self._num_classes)
        # MXNet's own random state says which centres are drawn, so that seeding it repeats a step.
        seed = 0 if self._loss.sample_rate == 1.0 else int(mx.nd.random.randint(0, 1 << 31, shape=(1,)).asscalar())
        self._body.forward(mx.io.DataBatch(data=data_batch.data[:1]), is_train=is_train)
        self._gather_embeddings()
        labels, scheduled = self._gathered_rows(labels, data_batch.data[1:])
        inside = [shard.receive(labels, scheduled, seed) for shard in self._shards]
        if self._shards[0].graph.needs_own:
            self._sum_to_all(
                "own centres",
                [shard.own_centres() for shard in self._shards],
                [shard.inputs["own_centre"] for shard in self._shards],
            )
        reports = [shard.forward(is_train) for shard in self._shards]
        self._outputs = self._joiner.forward(reports, inside, self._shards[0].inputs["embedding"], labels, is_train)

    def _gather_embeddings(self) -> None:
        """Put the embeddings of all parts of the batch in every shard's input."""
        parts, places = self._body.get_outputs(merge_multi_context=False)[0], self._parts
        if self._communicator.size > 1:
            here = mx.nd.empty((self._own_images, self._width), self._context[0])
            all_gather(parts, places, [here])
            parts, places = [self._communicator.all_gather("embeddings", here)], [slice(0, self._images)]
        all_gather(parts, places, [shard.inputs["embedding"] for shard in self._shards])

    def _gathered_rows(self, labels: np.ndarray, scalars: Sequence[Any]) -> Tuple[np.ndarray, Dict[str, Any]]:
        """Labels and scheduled scalars of the whole batch, (N,) each."""
        if self._communicator.size > 1:
            labels = (
                self._communicator.all_gather("labels", mx.nd.array(labels, dtype="int32")).asnumpy().astype(np.int64)
            )
        return labels, {
            name: self._communicator.all_gather(name, array) for name, array in zip(self._scheduled, scalars)
        }

    def _sum_to_all(self, name: str, parts: Sequence[Any], totals: Sequence[Any]) -> None:
        """Write the sum of `parts`, over all processes, to every array in `totals`."""
        all_reduce(parts, totals)
        if self._communicator.size > 1:
            all_reduce([self._communicator.all_reduce(name, totals[0])], totals)

    def backward(self, out_grads: Optional[List[Any]] = None) -> None:
        """Gradients of everything; the loss is its own head gradient, so `out_grads` must be None."""
        if out_grads is not None:
            raise ValueError("CentreParallelModule ends in its loss: backward takes no out_grads")
        gradients, parts = self._joiner.backward()
        for shard, gradient in zip(self._shards, gradients):
            shard.backward(gradient.as_in_context(shard.context))
        if self._shards[0].graph.needs_own:
            own = [shard.input_gradients["own_centre"] for shard in self._shards]
            totals = [mx.nd.empty(own[0].shape, shard.context) for shard in self._shards]
            self._sum_to_all("gradients of own centres", own, totals)
            for shard, total in zip(self._shards, totals):
                shard.own_backward(total)
        parts = [shard.input_gradients["embedding"] for shard in self._shards] + parts
        for executor, gradient in zip(self._body._exec_group.execs, self._scattered(parts)):
            executor.backward([gradient])

    def _scattered(self, parts: Sequence[Any]) -> List[Any]:
        """Gradients of the embeddings (N, d), summed over everybody: for each device here its part's rows."""
        if self._communicator.size > 1:
            here = reduce_scatter(parts, [slice(0, self._images)], self._context[:1])[0]
            parts = [self._communicator.reduce_scatter("gradients of embeddings", here)]
        return reduce_scatter(parts, self._parts, self._context)

    # ------------------------------------------------------------ results

    def get_outputs(self, merge_multi_context: bool = True) -> List[Any]:
        """(N,) arrays in the order of `output_names`; each in a list of one where not merged, as Module.

        Of several processes each gives the rows of its own part of the batch.
        """
        first = self._own_images * self._communicator.rank
        own = (
            [array[first : first + self._own_images] for array in self._outputs]
            if self.collective
            else list(self._outputs)
        )
        return own if merge_multi_context else [[array] for array in own]

    def get_input_grads(self, merge_multi_context: bool = True) -> List[Any]:
        return self._body.get_input_grads(merge_multi_context)

    def update_metric(self, eval_metric: Any, labels: Any, pre_sliced: bool = False) -> None:
        eval_metric.update_dict(dict(zip(self.label_names, labels)), dict(zip(self.output_names, self.get_outputs())))

    def install_monitor(self, mon: Any) -> None:
        """Watches the backbone."""
        self._body.install_monitor(mon)

    # ------------------------------------------------------------ what the trainer's checkpoint needs

    def read_momentum(self) -> Dict[str, Any]:
        """Whole momentum arrays of the centres on the CPU, by name; of several processes all must call it, rank 0 gets them."""
        found: Dict[str, Any] = {}
        for name in self.centre_parameters:
            states = [self._updater.states.get(indices[name]) for indices in self._indices]
            if all(state is not None for state in states):
                self._collect(name, states, found)
        return found

    def write_momentum(self, momentum: Dict[str, Any]) -> None:
        """Put `read_momentum`'s arrays back, split over the devices of this run."""
        for name in set(self.centre_parameters) & set(momentum):
            for shard, indices, part in zip(self._shards, self._indices, parts_of(self._shards, name, momentum[name])):
                self._updater.states[indices[name]] = part.copyto(shard.context)
                self._updater.states_synced[indices[name]] = True
