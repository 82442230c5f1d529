"""Plan the memory of a training run on each device before anything is allocated."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Dict, Optional, Tuple

from arcface_mx.losses.base import ClassificationLoss, Loss
from arcface_mx.model.backbone import Backbone
from arcface_mx.parallel.graphs import shard_graph
from arcface_mx.parallel.split import TooManyNumbers
from arcface_mx.planning.gpu_memory import ESTIMATES, SUMS, evaluation_bytes, gpu_parts
from arcface_mx.planning.memory_estimate import BYTES, gradient_bytes, line_through, parameter_bytes, planned_bytes
from arcface_mx.planning.workload import Workload
from arcface_mx.util.devices import device_names
from arcface_mx.util.errors import UserError
from arcface_mx.util.memory import available_memory
from arcface_mx.util.tables import text_table

MAX_ELEMENTS = 1 << 31  # of an array; the wheels of MXNet 1.9.1 index with 32 bits
# MXNet's planner reports whole megabytes. So the plan asks it at two large sizes, and takes the line
# through both.
IMAGES = (16, 32)
CLASSES, LOGITS = 1 << 15, 1 << 27  # limits of the smaller number of classes
MAX_BYTES_A_PIXEL = 16_000  # more than the layers of any backbone here take for a pixel of the input
LARGE = 1 << 62
SMALL_CLASSIFIER = 1 << 26  # numbers in the class centres, 256 MB; `check_memory` does not plan smaller ones


@dataclass(frozen=True)
class Plan:
    """Memory of a training run on the fullest device.

    Parameters
    ----------
    parts : dict of str to int
        Bytes by purpose.
    devices : int
        Number of devices.
    capacity : int or None
        Bytes that a device has, None if that is not known.
    """

    parts: Dict[str, int]
    devices: int
    capacity: Optional[int]

    @property
    def total(self) -> int:
        """Bytes that the run needs."""
        return sum(self.parts.values())

    @property
    def least(self) -> int:
        """Bytes that the run needs for certain: without upper bounds and estimates."""
        return sum(size for name, size in self.parts.items() if name not in ESTIMATES)

    @property
    def fits(self) -> bool:
        """Whether the run fits into the memory of a device; True if that is not known."""
        return self.capacity is None or self.total <= self.capacity

    @property
    def may_fit(self) -> bool:
        """Whether the run fits if upper bounds and estimates are too high; True if that is not known."""
        return self.capacity is None or self.least <= self.capacity

    def to_json(self) -> Dict[str, Any]:
        """Return the plan as values that JSON can hold."""
        return {
            "bytes": self.parts,
            "total": self.total,
            "devices": self.devices,
            "capacity": self.capacity,
            "fits": self.fits,
        }


def make_plan(workload: Workload, num_classes: int, capacity: Optional[int] = None) -> Plan:
    """Return the memory plan of a workload.

    Parameters
    ----------
    workload : Workload
    num_classes : int
    capacity : int, optional
        Bytes of one device. The default is what is free on the GPUs of this machine, if they exist.
        CPU contexts share the memory of the machine equally.

    Raises
    ------
    UserError
        If the loss or the devices do not fit the workload.
    """
    parts = {**_backbone_parts(workload), **_head_parts(workload, num_classes)}
    if workload.on_gpus:
        parts.update(_gpu_parts(workload, parts.get("centres' gradients", 0)))
    sizes = {name: int(size) for name, size in parts.items()}
    return Plan(sizes, workload.device_count, capacity or _capacity(workload.devices))


def check_whole_arrays(workload: Workload, num_classes: int) -> None:
    """Raise UserError if an array would have more elements than MXNet can index.

    The arrays are the class centres, which a checkpoint keeps in one array, and the logits on a device.
    """
    size = workload.backbone.embedding_size
    if num_classes * size >= MAX_ELEMENTS:
        raise TooManyNumbers(
            "one array",
            f"{num_classes} classes × {size} are more numbers than one array of MXNet 1.9.1 holds (2^31), "
            f"and a checkpoint keeps the class centres in one array; at most {(MAX_ELEMENTS - 1) // size} classes "
            f"are possible with `embedding_size` {size}",
        )
    logits = workload.images * workload.sampled_classes(num_classes)
    if logits >= MAX_ELEMENTS:
        raise TooManyNumbers(
            "logits",
            f"the logits on a device would be {logits} numbers, but an array of MXNet 1.9.1 holds fewer than 2^31; "
            "give a smaller `batch_size` or a lower `sample_rate`",
        )


def check_memory(workload: Workload, num_classes: int) -> None:
    """Raise UserError if the run cannot fit into the devices of this machine, or into its free memory.

    On CPUs a run that is small for certain is not planned, because planning takes a second.
    """
    check_whole_arrays(workload, num_classes)
    capacity = None
    if not workload.on_gpus:
        capacity = min(available_memory() or LARGE, _machine_memory()) // len(device_names(workload.devices))
        pixels = workload.batch_size / workload.device_count * workload.backbone.image_size**2
        at_most = pixels * MAX_BYTES_A_PIXEL * max(1.0, workload.backbone.network.width)
        if num_classes * workload.backbone.embedding_size < SMALL_CLASSIFIER and at_most < capacity:
            return
    plan = make_plan(workload, num_classes, capacity)
    if not plan.may_fit:
        raise UserError(f"{num_classes} classes: {_misfit(plan)}. arcface-mx plan shows the parts.")


def _backbone_parts(workload: Workload) -> Dict[str, float]:
    # The graph of `init` is a Symbol, which cannot be the key of a cache.
    bytes_of = _backbone_bytes if workload.backbone.graph is None else _backbone_bytes.__wrapped__
    weights, single, fixed, per_image = bytes_of(workload.backbone)
    parts = {"backbone weights": weights, "backbone gradients": weights, "backbone momentum": single}
    if workload.backbone.half_precision:
        parts["backbone weights in float32"] = single  # the optimizer's copies
    parts["activations"] = max(0.0, fixed) + workload.batch_size / workload.device_count * per_image
    return parts


@lru_cache(maxsize=4)
def _backbone_bytes(backbone: Backbone) -> Tuple[float, float, float, float]:
    """Return the bytes of the weights, of the weights in float32, of the layers without an image, of each image."""
    symbol, shape = backbone.symbol(training=True), backbone.input_shape
    weights, single = parameter_bytes(symbol, ["data"], data=(1, *shape))
    sizes = [(images, planned_bytes(symbol, ["data"], data=(images, *shape))) for images in IMAGES]
    fixed, per_image = line_through(*sizes)
    return weights, single, fixed, per_image + BYTES * math.prod(shape)  # the planner does not count the input


def _head_parts(workload: Workload, num_classes: int) -> Dict[str, float]:
    """Return the bytes of the classifier on the fullest device; none for a loss without class centres."""
    if not isinstance(workload.loss, ClassificationLoss) and workload.parallel == "data":
        return {}
    images, size, loss = workload.images, workload.backbone.embedding_size, workload.loss
    held, sampled = workload.held_classes(num_classes), workload.sampled_classes(num_classes)
    if isinstance(loss, ClassificationLoss):
        loss = replace(loss, sample_rate=1.0)  # the graph of a number of classes is the same at every rate
    row, fixed, per_class = _head_bytes(loss, images, size)
    parts = {
        "centres": row * held + (row * sampled if sampled < held else 0),  # a sample is a copy
        "centres' gradients": row * sampled,
        "centres' momentum": row * held,
        "logits and unit centres": max(0.0, fixed) + per_class * sampled,
    }
    if workload.parallel == "centres":
        parts["gathered embeddings"] = 2 * BYTES * images * size  # and their gradients
    return parts


@lru_cache(maxsize=64)
def _head_bytes(loss: Loss, images: int, size: int) -> Tuple[int, float, float]:
    """Return the bytes of a class's parameters, of the layers without a class, and of the layers for each class."""

    def logits(classes: int) -> int:
        graph = shard_graph(loss, classes, images, size)
        inputs = [name for name in graph.symbol.list_arguments() if name not in graph.parameters]
        without_gradient = [name for name in inputs if name not in ("embedding", "own_centre")]
        return planned_bytes(graph.symbol, without_gradient)

    few = max(256, min(CLASSES, LOGITS // images))
    fixed, per_class = line_through(*[(classes, logits(classes)) for classes in (few, 2 * few)])
    row = sum(BYTES * math.prod(shape) for shape in shard_graph(loss, 1, images, size).parameters.values())
    return row, fixed, per_class


def _gpu_parts(workload: Workload, centres: float) -> Dict[str, float]:
    """Return what only GPUs need; `centres` are the bytes of the gradients of the class centres."""
    symbol, shape = workload.backbone.symbol(training=True), workload.backbone.input_shape
    keys = gradient_bytes(symbol, ["data"], data=(1, *shape))
    if centres and workload.parallel == "data":
        keys.append(int(centres))
    parts = gpu_parts(keys, workload.devices_of_a_worker, workload.kvstore)
    if workload.evaluates:
        parts["verification"] = evaluation_bytes(workload.backbone)
    return parts


def _capacity(devices: str) -> Optional[int]:
    """Return the bytes that each device of this machine has, None if a device does not exist."""
    names = device_names(devices)
    if names[0][0] == "cpu":
        return _machine_memory() // len(names)
    import mxnet as mx

    numbers = [number for _, number in names]
    if max(numbers) >= mx.context.num_gpus():
        return None
    return min(mx.context.gpu_memory_info(number)[0] for number in numbers)


def _machine_memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def plan_table(plan: Plan) -> str:
    """Format a plan as a table, and say whether it fits and what to change if it does not."""
    devices = f"{plan.devices} device{'' if plan.devices == 1 else 's'}"
    sizes = [*plan.parts.items(), ("together", plan.total)]
    table = text_table([[f"memory on each of {devices}", "MB"], *([name, f"{size / 1e6:.1f}"] for name, size in sizes)])
    if plan.capacity is None:
        verdict = "the memory of a device is not known here; give `memory` in GB"
    elif plan.fits:
        verdict = f"a device has {plan.capacity / 1e6:.1f} MB: it fits"
    elif plan.may_fit:
        verdict = (
            f"a device has {plan.capacity / 1e6:.1f} MB: it fits only if cuDNN and CUDA need less than planned; "
            "try a smaller `batch_size`"
        )
    else:
        verdict = _misfit(plan)
    return f"{table}\n{verdict}"


def _misfit(plan: Plan) -> str:
    """Say why a plan does not fit, and what would change most."""
    centres = sum(size for name, size in plan.parts.items() if "centres" in name or name == SUMS)
    remedy = (
        "`parallel` centres, more `devices` or a lower `sample_rate`"
        if centres > plan.total / 2
        else "a smaller `batch_size`, `image_size` or `network`"
    )
    needed, available = plan.total / 1e9, (plan.capacity or 0) / 1e9
    return f"needs {needed:.1f} GB on each device, and one has {available:.1f} GB: try {remedy}"
