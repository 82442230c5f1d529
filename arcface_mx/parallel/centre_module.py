"""Class-centre parallel training behind MXNet's BaseModule: the paper's "parallel acceleration".

The backbone is data-parallel, an ordinary Module. The n×d class centres of the classifier are split by
class: each of D devices holds n/D of them with gradient and momentum, and they never leave it. A step:

    1  Each device computes the embeddings of its part of the batch.
    2  The embeddings are gathered, so that every device has all N×d of them.
    3  Each device computes the logits of all N images over its own classes, and reports a few numbers
       for each image.
    4  The reports are combined into the loss. Its gradient by the reports goes back to the devices.
    5  Each device computes the gradient of its centres, which it keeps, and of all embeddings.
    6  The gradients of the embeddings are summed. Each device receives those of its part.

With several processes the devices are those of all processes: embeddings and labels are gathered from
all (2), a maximum and sums of the reports are exchanged (4), and the gradients of the embeddings are
summed over all (6). Each process has the backbone for its own part of the batch.
"""

from __future__ import annotations

import logging
import warnings
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Sequence, Tuple

import mxnet as mx
import numpy as np

from arcface_mx.losses.base import Loss
from arcface_mx.losses.graph import LOSS_SCALE
from arcface_mx.parallel.classifier import SplitClassifier
from arcface_mx.parallel.communicator import Communicator
from arcface_mx.util.errors import UserError
from arcface_mx.util.mx_module import ModuleArrays, batch_slices, module_arrays, read_parameters, updater_names

if TYPE_CHECKING:
    from mxnet.context import Context
    from mxnet.ndarray import NDArray
    from mxnet.symbol import Symbol

Arrays = Dict[str, Any]
UNIFORM = mx.init.Uniform(0.01)  # Module's default


class CentreParallelModule(mx.mod.BaseModule):
    """A Module whose classifier is split by class over its devices.

    Labels of a batch have shape (N,), and any dtype that holds them; int32 for more than 2²⁴ classes.
    `get_params` returns whole arrays, so that a checkpoint fits any number of devices. With several
    processes all of them must call it, and only rank 0 receives the class centres. Shapes and outputs
    are those of this process's part of the batch.

    Parameters
    ----------
    embedding : Symbol, shape (N, d)
        The backbone, with the input "data".
    loss : ClassificationLoss
    num_classes : int
    context : sequence of Context
    fixed_param_names : sequence of str
    scaled : bool
        Whether the last input is a loss scale, shape (B,) with one value. It multiplies all gradients.
    communicator : Communicator, optional
        The processes over which the classes are split too.
    """

    def __init__(
        self,
        embedding: Symbol,
        loss: Loss,
        num_classes: int,
        context: Sequence[Context],
        fixed_param_names: Sequence[str] = (),
        scaled: bool = False,
        communicator: Optional[Communicator] = None,
    ) -> None:
        super().__init__(logger=logging.getLogger("arcface_mx.module"))
        self._loss, self._num_classes, self._context = loss, num_classes, list(context)
        self._scaled = scaled
        self._communicator = communicator or Communicator()
        self._symbol = embedding
        fixed = set(fixed_param_names)
        self._fixed = fixed - set(embedding.list_arguments())
        self._body = mx.mod.Module(
            embedding,
            data_names=["data"],
            label_names=None,
            context=self._context,
            fixed_param_names=[name for name in embedding.list_arguments() if name in fixed],
            logger=self.logger,
        )
        self._classifier: SplitClassifier
        self.binded: bool
        self.params_initialized: bool
        self.optimizer_initialized: bool

    # ------------------------------------------------------------ inputs and outputs

    @property
    def data_names(self) -> List[str]:
        return ["data", *self._loss.scheduled_names, *([LOSS_SCALE] if self._scaled else [])]

    @property
    def label_names(self) -> List[str]:
        return ["label"]

    @property
    def output_names(self) -> List[str]:
        return [name + "_output" for name in self._classifier.outputs]

    @property
    def data_shapes(self) -> List[Any]:
        return self._data_shapes

    @property
    def label_shapes(self) -> List[Any]:
        return self._label_shapes

    @property
    def output_shapes(self) -> List[Tuple[str, Tuple[int]]]:
        return [(name, (self._images,)) for name in self.output_names]

    @property
    def body(self) -> Any:
        """The data-parallel backbone, an ordinary Module."""
        return self._body

    @property
    def classifier(self) -> SplitClassifier:
        """The class centres on their devices."""
        return self._classifier

    @property
    def collective(self) -> bool:
        """Whether other processes take part in every forward pass."""
        return self._communicator.size > 1

    @property
    def whole_shapes(self) -> Dict[str, Tuple[int, ...]]:
        """Shapes of the split parameters over all classes."""
        return self._classifier.whole_shapes

    @property
    def head_executors(self) -> List[Any]:
        """The classifier's executor on each device."""
        return [shard.executor for shard in self._classifier.shards]

    def arrays(self) -> ModuleArrays:
        """Return all arrays by parameter and device, as `module_arrays` does for a Module."""
        body, shards, names = module_arrays(self._body), self._classifier.shards, self._classifier.parameter_names
        return ModuleArrays(
            body.names + names,
            body.parameters + [[shard.parameters[name] for shard in shards] for name in names],
            body.gradients + [[shard.gradients.get(name) for shard in shards] for name in names],
            body.auxiliary,
            body.executors,
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
        """Bind as Module does, without `shared_module`. The batch must be a multiple of the devices."""
        if self.binded and not force_rebind:
            return
        if shared_module is not None:
            raise ValueError("shared_module is not supported: CentreParallelModule shares no memory")
        self._data_shapes = [_description(shape) for shape in data_shapes]
        self._label_shapes = [_description(shape) for shape in label_shapes]
        self._images = self._data_shapes[0].shape[0]
        if getattr(self._loss, "sample_rate", 1.0) < 1.0 and grad_req == "add":
            raise UserError(
                "`accumulate` adds gradients of the same class centres; with `sample_rate` below 1 each batch has "
                "other ones"
            )
        if self._images % len(self._context):
            raise ValueError(f"a batch of {self._images} does not split evenly over {len(self._context)} devices")
        self._body.bind(self._data_shapes[:1], None, for_training, inputs_need_grad, force_rebind, None, grad_req)
        self._rows = batch_slices(self._body)
        batch_shape = self._images, self._body.output_shapes[0][1][1]
        requests = {"": grad_req, **dict.fromkeys(self._fixed, "null")}
        self._classifier = SplitClassifier(
            self._loss,
            self._num_classes,
            self._context,
            self._communicator,
            batch_shape,
            requests,
            self._scaled,
        )
        self.binded, self.for_training, self.inputs_need_grad = True, for_training, inputs_need_grad

    # ------------------------------------------------------------ parameters

    def init_params(
        self,
        initializer: Any = UNIFORM,
        arg_params: Optional[Arrays] = None,
        aux_params: Optional[Arrays] = None,
        allow_missing: bool = False,
        force_init: bool = False,
        allow_extra: bool = False,
    ) -> None:
        """Initialise as Module does, drawing the same numbers in the same order as one device would."""
        if self.params_initialized and not force_init:
            return
        assert self.binded, "call bind before init_params"
        values = dict(arg_params or {})
        arrays = module_arrays(self._body)
        body = {name: copies[0].shape for name, copies in zip(arrays.names, arrays.parameters)}
        shapes = {**body, **self.whole_shapes}
        attributes = {**self._classifier.attributes, **self._symbol.attr_dict()}
        unknown = sorted(set(values) - set(shapes))
        if unknown and not allow_extra:
            raise RuntimeError(f"{', '.join(unknown)}: no parameter of this network")
        for name in sorted(shapes):
            if values.get(name) is None:
                if arg_params is not None and not allow_missing:
                    raise RuntimeError(f"{name} is not presented")
                values[name] = mx.nd.zeros(shapes[name])
                initializer(mx.init.InitDesc(name, attributes.get(name)), values[name])
            if name not in body:
                self._classifier.set_parameter(name, values.pop(name))
        self._body.init_params(
            initializer, {name: values[name] for name in body}, aux_params, allow_missing, force_init, allow_extra
        )
        self.params_initialized = True

    def get_params(self) -> Tuple[Arrays, Arrays]:
        """Return whole arrays on the CPU; the class centres on rank 0 only."""
        arg_params, aux_params = read_parameters(self._body)
        shards = self._classifier.shards
        parts = {name: [shard.parameters[name] for shard in shards] for name in self._classifier.parameter_names}
        return dict(arg_params, **self._assemble(parts)), aux_params

    def _assemble(self, parts: Dict[str, List[NDArray]]) -> Arrays:
        whole = {name: self._classifier.assemble(name, arrays) for name, arrays in parts.items()}
        return {name: array for name, array in whole.items() if array is not None}

    # ------------------------------------------------------------ optimizer

    def updater_names(self) -> Dict[int, str]:
        """Return the parameter behind each index of the optimizer: the backbone's, then each shard's."""
        names = updater_names(self._body)
        for _ in self._context:
            for name in self._classifier.parameter_names:
                names[len(names)] = name
        return names

    def init_optimizer(
        self,
        kvstore: Any = "local",
        optimizer: Any = "sgd",
        optimizer_params: Any = (("learning_rate", 0.01),),
        force_init: bool = False,
    ) -> None:
        """Install one optimizer for backbone and classifier. The class centres have a state on each device.

        `kvstore` adds the gradients of the backbone only.
        """
        assert self.binded and self.params_initialized
        if self.optimizer_initialized and not force_init:
            return
        if isinstance(optimizer, str):
            options = dict(optimizer_params)
            options.setdefault("rescale_grad", 1.0 / (self._images * self._communicator.size))
            optimizer = mx.optimizer.create(optimizer, param_idx2name=self.updater_names(), **options)
        first, names = len(updater_names(self._body)), self._classifier.parameter_names
        self._indices = [
            {name: first + device * len(names) + number for number, name in enumerate(names)}
            for device in range(len(self._context))
        ]
        with warnings.catch_warnings():  # Module does not know that the images of all processes are counted
            warnings.simplefilter("ignore")
            self._body.init_optimizer(kvstore, optimizer, force_init=force_init)
        self._updater = mx.optimizer.get_updater(optimizer)
        self.optimizer_initialized = True

    def update(self) -> None:
        """Make one step: the backbone's gradients are summed over devices, the class centres stay where they are."""
        self._body.update()
        for shard, indices in zip(self._classifier.shards, self._indices):
            shard.update(self._updater, indices)

    def read_momentum(self) -> Arrays:
        """Return whole momentum arrays of the class centres on the CPU, by name. Collective call."""
        states = {
            name: [self._updater.states.get(indices[name]) for indices in self._indices]
            for name in self._classifier.parameter_names
        }
        trained = {name: parts for name, parts in states.items() if all(part is not None for part in parts)}
        return self._assemble(trained)

    def write_momentum(self, momentum: Arrays) -> None:
        """Put the arrays of `read_momentum` back, split over the devices of this run."""
        for name in set(self._classifier.parameter_names) & set(momentum):
            for indices, part in zip(self._indices, self._classifier.split(name, momentum[name])):
                self._updater.states[indices[name]] = part
                self._updater.states_synced[indices[name]] = True

    # ------------------------------------------------------------ a step

    def forward(self, data_batch: Any, is_train: Optional[bool] = None) -> None:
        """Compute the loss (steps 1 to 4). Raises UserError for a label outside 0 to n − 1."""
        assert self.binded and self.params_initialized
        is_train = self.for_training if is_train is None else is_train
        labels = data_batch.label[0].asnumpy().astype(np.int64)
        seed = self._classifier.start_batch(labels)
        self._body.forward(mx.io.DataBatch(data=data_batch.data[:1]), is_train=is_train)
        embeddings = self._body.get_outputs(merge_multi_context=False)[0]
        self._outputs = self._classifier.forward(embeddings, self._rows, labels, data_batch.data[1:], seed, is_train)

    def backward(self, out_grads: Optional[List[Any]] = None) -> None:
        """Compute all gradients (steps 4 to 6). The loss is its own head gradient, so `out_grads` must be None."""
        if out_grads is not None:
            raise ValueError("out_grads must be None: CentreParallelModule ends in its loss")
        gradients = self._classifier.backward(self._rows)
        for executor, gradient in zip(module_arrays(self._body).executors, gradients):
            executor.backward([gradient])

    # ------------------------------------------------------------ results

    def get_outputs(self, merge_multi_context: bool = True) -> List[Any]:
        """Return arrays of shape (N,) in the order of `output_names`, of this process's part of the batch."""
        outputs = list(self._outputs)
        if self.collective:
            first = self._images * self._communicator.rank
            outputs = [array[first : first + self._images] for array in outputs]
        return outputs if merge_multi_context else [[array] for array in outputs]

    def get_input_grads(self, merge_multi_context: bool = True) -> List[Any]:
        return self._body.get_input_grads(merge_multi_context)

    def update_metric(self, eval_metric: Any, labels: Any, pre_sliced: bool = False) -> None:
        eval_metric.update_dict(dict(zip(self.label_names, labels)), dict(zip(self.output_names, self.get_outputs())))

    def install_monitor(self, mon: Any) -> None:
        """Install a monitor on the backbone."""
        self._body.install_monitor(mon)


def _description(shape: Any) -> Any:
    return shape if isinstance(shape, mx.io.DataDesc) else mx.io.DataDesc(*shape)
