"""The memory of a training run on each device, before anything is allocated."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Dict, List, Optional, Tuple

from arcface_mx.config import TrainConfig
from arcface_mx.losses.base import Loss
from arcface_mx.model.backbone import Backbone, make_backbone
from arcface_mx.parallel.graphs import shard_graph
from arcface_mx.parallel.sampling import sample_size
from arcface_mx.parallel.split import TooManyNumbers, class_ranges
from arcface_mx.planning.memory_estimate import line_through, parameter_bytes, planned_bytes
from arcface_mx.util.devices import device_names
from arcface_mx.util.errors import UserError

# The planner is asked at these sizes and the line through them taken: it reports whole megabytes.
_IMAGES, _CLASSES, _LOGITS = (16, 32), 1 << 15, 1 << 27
_WORTH_A_PLAN = 1 << 26  # numbers in the centres: 256 MB
LARGEST_ARRAY = 1 << 31  # elements; MXNet 1.9.1's wheels index with 32 bits


@dataclass(frozen=True)
class Workload:
    """What is trained on which devices.

    Attributes
    ----------
    backbone : Backbone
    loss : Loss
    batch_size : int
        Images a step, over all devices of all workers.
    devices : str
        Device list of one worker, such as "gpu(0),gpu(1)". The devices need not exist.
    parallel : str
        "data" or "centres".
    workers : int
    """

    backbone: Backbone
    loss: Loss
    batch_size: int
    devices: str
    parallel: str
    workers: int = 1

    @classmethod
    def of(cls, config: TrainConfig, workers: int = 1) -> Workload:
        """Return the workload of a configuration."""
        backbone = make_backbone(config.network, config.data.image_size, config.run.init, config.run.devices)
        return cls(backbone, config.loss, config.data.batch_size, config.run.devices, config.run.parallel, workers)

    @property
    def device_count(self) -> int:
        """Number of devices over all workers."""
        return len(device_names(self.devices)) * self.workers

    @property
    def sample_rate(self) -> float:
        """Share of the class centres that take part in a step."""
        return getattr(self.loss, "sample_rate", 1.0)


@dataclass(frozen=True)
class Plan:
    """Bytes by purpose on the fullest device, how many devices there are, and what one has."""

    parts: Dict[str, int]
    devices: int
    kind: str  # "cpu" or "gpu"
    capacity: Optional[int]  # bytes of one device; None: not known

    @property
    def total(self) -> int:
        """Bytes on one device."""
        return sum(self.parts.values())

    @property
    def fits(self) -> bool:
        """Whether one device holds it; True where its capacity is not known."""
        return self.capacity is None or self.total <= self.capacity

    def to_json(self) -> Dict[str, Any]:
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
        Bytes of one device. By default the memory of this machine's devices, if they exist. CPU
        contexts share the machine's memory equally.

    Raises
    ------
    UserError
        If the loss or the devices do not fit the workload.
    """
    names = device_names(workload.devices)
    parts = _backbone(workload)
    parts.update(
        _split_head(workload, num_classes) if workload.parallel == "centres" else _whole_head(workload, num_classes)
    )
    sizes = {name: int(size) for name, size in parts.items()}
    kind = names[0][0]
    return Plan(sizes, workload.device_count, kind, capacity or _capacity(kind, names))


def check_whole_arrays(workload: Workload, num_classes: int) -> None:
    """Raise UserError if an array would have more numbers than MXNet can hold in one.

    These arrays are the class centres, which a checkpoint keeps whole, and the logits on a device.
    """
    width = workload.backbone.embedding_size
    if num_classes * width >= LARGEST_ARRAY:
        raise TooManyNumbers(
            "one array",
            f"{num_classes} classes × {width} are more numbers than one array of MXNet 1.9.1 holds (2^31), "
            f"and a checkpoint keeps the class centres in one; at most {(LARGEST_ARRAY - 1) // width} classes with "
            f"`embedding_size` {width}",
        )
    logits = _logits_a_device(workload, num_classes)
    if logits >= LARGEST_ARRAY:
        raise TooManyNumbers(
            "logits",
            f"the logits on a device would be {logits} numbers; an array of MXNet 1.9.1 holds fewer than "
            "2^31: give a smaller `batch_size` or a lower `sample_rate`",
        )


def _logits_a_device(workload: Workload, num_classes: int) -> int:
    devices, images = workload.device_count, workload.batch_size
    if workload.parallel == "data":
        return images // devices * num_classes
    held = -(-num_classes // devices)
    rate = workload.sample_rate
    return images * (held if rate == 1.0 else sample_size(rate, held, images))


def refuse_what_cannot_fit(workload: Workload, num_classes: int) -> None:
    """Raise UserError if the devices cannot hold a large classifier. Small ones are not planned, which takes a second."""
    check_whole_arrays(workload, num_classes)
    if num_classes * workload.backbone.embedding_size < _WORTH_A_PLAN:
        return
    plan = make_plan(workload, num_classes)
    if not plan.fits:
        raise UserError(f"{num_classes} classes: {refusal(plan)}. arcface-mx plan shows the parts.")


def _backbone(workload: Workload) -> Dict[str, float]:
    weights, fixed, an_image = _backbone_bytes(workload.backbone)
    return {
        "backbone weights": weights,
        "backbone gradients": weights,
        "backbone momentum": weights,
        "activations": max(0.0, fixed) + workload.batch_size / workload.device_count * an_image,
    }


@lru_cache(maxsize=4)
def _backbone_bytes(backbone: Backbone) -> Tuple[float, float, float]:
    """Return the bytes of the weights, of the layers without an image, and of an image in the layers and as input."""
    symbol, shape = backbone.symbol(training=True), backbone.input_shape
    weights = parameter_bytes(symbol, ["data"], data=(1, *shape))
    sizes = [(images, planned_bytes(symbol, ["data"], data=(images, *shape))) for images in _IMAGES]
    fixed, an_image = line_through(*sizes)
    return weights, fixed, an_image + 4 * math.prod(shape)


def _whole_head(workload: Workload, num_classes: int) -> Dict[str, float]:
    """Every device holds all class centres and sees its part of the batch."""
    images = max(1, workload.batch_size // workload.device_count)
    return _head(workload, num_classes, num_classes, images)


def _split_head(workload: Workload, num_classes: int) -> Dict[str, float]:
    """The fullest device holds n/D class centres, rounded up, and sees the whole batch."""
    first, last = class_ranges(num_classes, workload.device_count)[0]
    held = sampled = last - first
    if workload.sample_rate < 1.0:
        sampled = sample_size(workload.sample_rate, held, workload.batch_size)
    parts = _head(workload, held, sampled, workload.batch_size)
    parts["gathered embeddings"] = 2 * 4 * workload.batch_size * workload.backbone.embedding_size
    return parts


def _head(workload: Workload, held: int, sampled: int, images: int) -> Dict[str, float]:
    """Return the bytes of a classifier of `held` classes, of which `sampled` take part in a step."""
    width = workload.backbone.embedding_size

    def logits(classes: int) -> int:
        graph = shard_graph(workload.loss, classes, images, width)
        inputs = [name for name in graph.symbol.list_arguments() if name not in graph.parameters]
        without_gradient = [name for name in inputs if name not in ("embedding", "own_centre")]
        return planned_bytes(graph.symbol, without_gradient)

    few = max(256, min(_CLASSES, _LOGITS // images))
    fixed, a_class = line_through(*[(classes, logits(classes)) for classes in (few, 2 * few)])
    one = shard_graph(workload.loss, 1, images, width)
    row = sum(4 * math.prod(shape) for shape in one.parameters.values())
    copies = 0 if sampled == held else row * sampled
    return {
        "centres": row * held + copies,
        "centres' gradients": row * sampled,
        "centres' momentum": row * held,
        "logits and unit centres": max(0.0, fixed) + a_class * sampled,
    }


def _capacity(kind: str, names: List[Any]) -> Optional[int]:
    if kind == "cpu":
        return _machine_memory() // len(names)
    import mxnet as mx

    if max(number for _, number in names) < mx.context.num_gpus():
        return min(mx.context.gpu_memory_info(number)[0] for _, number in names)
    return None


def _machine_memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def plan_table(plan: Plan) -> str:
    """The plan as lines for people, and what to change where it does not fit."""
    lines = [f"{what:26} {size / 1e6:10.1f} MB" for what, size in plan.parts.items()]
    lines.append(
        f"{'together'!s:<26} {plan.total / 1e6:10.1f} MB on each of {plan.devices} "
        f"device{('' if plan.devices == 1 else 's')}"
    )
    if plan.capacity is None:
        lines.append("memory of a device: not known here; give --memory GB")
    elif plan.fits:
        lines.append(f"a device has {plan.capacity / 1e6:.1f} MB: it fits")
    else:
        lines.append(refusal(plan))
    return "\n".join(lines)


def refusal(plan: Plan) -> str:
    """Why it does not fit, and the flags that would change most."""
    centres = sum(size for what, size in plan.parts.items() if "centres" in what)
    remedy = (
        "`parallel` centres, more `devices` or `sample_rate`" if centres > plan.total / 2 else "a smaller `batch_size`"
    )
    return f"needs {plan.total / 1e9:.1f} GB on each device, and one has {plan.capacity / 1e9:.1f} GB: try {remedy}"  # type: ignore[operator]
