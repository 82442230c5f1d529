"""The memory of a training run on each device, before anything is allocated."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Dict, List, Optional, Tuple

from arcface_mx.config import DataConfig, NetworkConfig, TrainConfig
from arcface_mx.losses.training_graph import scheduled_names
from arcface_mx.model.backbone import embedding_symbol
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


def make_plan(config: TrainConfig, num_classes: int, capacity: Optional[int] = None, workers: int = 1) -> Plan:
    """The plan of a configuration for n classes; the devices need not be there.

    capacity: bytes of one device; without it the memory of this machine's devices, where they are
    here. CPU contexts share the machine's memory equally. workers: each with these devices; the batch is
    that of all, and the memory that of a worker's machine. Raises UserError on a wrong configuration.
    """
    names = device_names(config.run.devices)
    kind, devices = names[0][0], len(names) * workers
    parts = _backbone(config, devices)
    parts.update(
        _split_head(config, num_classes, devices)
        if config.run.parallel == "centres"
        else _whole_head(config, num_classes, devices)
    )
    return Plan({what: int(size) for what, size in parts.items()}, devices, kind, capacity or _capacity(kind, names))


def check_whole_arrays(config: TrainConfig, num_classes: int, workers: int = 1) -> None:
    """Raise UserError where an array would have more numbers than MXNet can hold in one: the centres, which a
    checkpoint keeps whole, or the logits on a device."""
    width = config.network.embedding_size
    if num_classes * width >= LARGEST_ARRAY:
        raise TooManyNumbers(
            "one array",
            f"{num_classes} classes × {width} are more numbers than one array of MXNet 1.9.1 holds (2^31), "
            f"and a checkpoint keeps the centres in one; at most {(LARGEST_ARRAY - 1) // width} classes at "
            f"--embedding-size {width}",
        )
    logits = _logits_a_device(config, num_classes, workers)
    if logits >= LARGEST_ARRAY:
        raise TooManyNumbers(
            "logits",
            f"the logits on a device would be {logits} numbers; an array of MXNet 1.9.1 holds fewer than "
            "2^31: give a smaller --batch-size or a lower --sample-rate",
        )


def _logits_a_device(config: TrainConfig, num_classes: int, workers: int) -> int:
    devices, images = len(device_names(config.run.devices)) * workers, config.data.batch_size
    if config.run.parallel == "data":
        return images // devices * num_classes
    held = -(-num_classes // devices)
    rate = config.loss.sample_rate
    return images * (held if rate == 1.0 else sample_size(rate, held, images))


def refuse_what_cannot_fit(config: TrainConfig, num_classes: int, workers: int = 1) -> None:
    """Raise UserError where a classifier of size cannot be held by the devices here. Small ones are not planned: it takes a second."""
    check_whole_arrays(config, num_classes, workers)
    if num_classes * config.network.embedding_size < _WORTH_A_PLAN:
        return
    plan = make_plan(config, num_classes, workers=workers)
    if not plan.fits:
        raise UserError(f"{num_classes} classes: {refusal(plan)}. arcface-mx plan shows the parts.")


def _backbone(config: TrainConfig, devices: int) -> Dict[str, float]:
    weights, fixed, an_image = _backbone_bytes(config.network, config.data.image_size)
    return {
        "backbone weights": weights,
        "backbone gradients": weights,
        "backbone momentum": weights,
        "activations": max(0.0, fixed) + config.data.batch_size / devices * an_image,
    }


@lru_cache(maxsize=4)
def _backbone_bytes(network: NetworkConfig, side: int) -> Tuple[float, float, float]:
    """Of the weights; of the layers without an image; of an image, in the layers and as input."""
    symbol = embedding_symbol(TrainConfig(network=network, data=DataConfig(image_size=side)), training=True)
    weights = parameter_bytes(symbol, ["data"], data=(1, 3, side, side))
    sizes = [(images, planned_bytes(symbol, ["data"], data=(images, 3, side, side))) for images in _IMAGES]
    fixed, an_image = line_through(*sizes)
    return weights, fixed, an_image + 4 * 3 * side * side


def _whole_head(config: TrainConfig, num_classes: int, devices: int) -> Dict[str, float]:
    """Every device holds all centres and sees its part of the batch."""
    images = max(1, config.data.batch_size // devices)
    return _head(config, num_classes, num_classes, images)


def _split_head(config: TrainConfig, num_classes: int, devices: int) -> Dict[str, float]:
    """The fullest device holds n/D centres, rounded up, and sees the whole batch."""
    first, last = class_ranges(num_classes, devices)[0]
    seen = last - first
    if config.loss.sample_rate < 1.0:
        seen = sample_size(config.loss.sample_rate, last - first, config.data.batch_size)
    parts = _head(config, last - first, seen, config.data.batch_size)
    parts["gathered embeddings"] = 2 * 4 * config.data.batch_size * config.network.embedding_size
    return parts


def _head(config: TrainConfig, held: int, seen: int, images: int) -> Dict[str, float]:
    scheduled = scheduled_names(config)
    width = config.network.embedding_size

    def logits(classes: int) -> int:
        graph = shard_graph(config.loss, classes, images, width, scheduled)
        inputs = [name for name in graph.symbol.list_arguments() if name not in graph.parameters]
        without = [name for name in inputs if name not in ("embedding", "own_centre")]
        return planned_bytes(graph.symbol, without)

    few = max(256, min(_CLASSES, _LOGITS // images))
    fixed, a_class = line_through(*[(classes, logits(classes)) for classes in (few, 2 * few)])
    one = shard_graph(config.loss, 1, images, width, scheduled)
    row = sum(4 * math.prod(shape) for shape in one.parameters.values())
    copies = 0 if seen == held else row * seen
    return {
        "centres": row * held + copies,
        "centres' gradients": row * seen,
        "centres' momentum": row * held,
        "logits and unit centres": max(0.0, fixed) + a_class * seen,
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
        "--parallel centres, more --devices or --sample-rate" if centres > plan.total / 2 else "a smaller --batch-size"
    )
    return f"needs {plan.total / 1e9:.1f} GB on each device, and one has {plan.capacity / 1e9:.1f} GB: try {remedy}"  # type: ignore[operator]
