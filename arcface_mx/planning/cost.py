"""Cost model of a training step: operations, bytes sent and memory traffic of each device, and their time.

Let D be the number of devices, b the number of images on each, N = b·D, n the number of classes, d the
embedding size, P the number of backbone parameters and F the operations of a forward pass of one image.
All numbers are float32. A backward pass costs twice a forward pass.

    operations             3·b·F of the backbone, 6·b·n·d of the head
    sent, whole head       2·(D−1)/D·4·(P + n·d), the gradients of all parameters
    sent, head by class    2·(D−1)/D·4·(P + N·d), the gradients of the backbone, and the embeddings with theirs
    memory traffic         TRAFFIC·4·n·d for a whole head, TRAFFIC·4·n·d/D for one split by class

If the head is split by class, its operations on each device do not fall with D, because N grows with D.
The memory of each device falls, and the bytes sent no longer depend on n. A sample rate r multiplies the
operations and the traffic of the head by r.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Dict, NamedTuple, Tuple

if TYPE_CHECKING:
    from mxnet.symbol import Symbol

BYTES = 4  # of a float32
# How often a step reads or writes an array of n×d numbers: the weight and the unit centres in the forward
# pass (4), their gradients (6), and weight, gradient and momentum in the update (5).
TRAFFIC = 15


class Machine(NamedTuple):
    """What a device and its link sustain in practice, in units per second."""

    operations: float
    bytes_sent: float
    bytes_of_memory: float


class Backbone(NamedTuple):
    """Size of a backbone."""

    operations: float  # of a forward pass of one image
    parameters: float
    embedding_size: int


class Head(NamedTuple):
    """Size of the classification head."""

    classes: float
    split: bool  # by class over the devices; otherwise each device holds the whole head
    sample_rate: float = 1.0


@dataclass(frozen=True)
class StepCost:
    """What a training step costs each device."""

    backbone_operations: float
    head_operations: float
    bytes_sent: float
    head_traffic: float  # bytes that the head reads and writes in memory

    def seconds(self, machine: Machine) -> Dict[str, float]:
        """Return the time of each part. A step takes their sum if the parts do not overlap."""
        return {
            "backbone": self.backbone_operations / machine.operations,
            "head": max(self.head_operations / machine.operations, self.head_traffic / machine.bytes_of_memory),
            "link": self.bytes_sent / machine.bytes_sent,
        }


def step_cost(backbone: Backbone, head: Head, images: int, devices: int) -> StepCost:
    """Return the cost of a training step with `images` images on each of `devices` devices."""
    others = (devices - 1) / devices
    centres = head.classes * backbone.embedding_size
    exchanged = images * devices * backbone.embedding_size if head.split else centres
    held = centres / devices if head.split else centres
    return StepCost(
        backbone_operations=3.0 * backbone.operations * images,
        head_operations=6.0 * images * centres * head.sample_rate,
        bytes_sent=2.0 * others * BYTES * (backbone.parameters + exchanged),
        head_traffic=TRAFFIC * BYTES * held * head.sample_rate,
    )


def forward_operations(symbol: Symbol, **shapes: Tuple[int, ...]) -> float:
    """Count the operations of convolutions and fully connected layers; a multiply-add counts as two.

    `shapes` are those of the inputs.
    """
    internals = symbol.get_internals()
    shape_of = dict(zip(internals.list_outputs(), internals.infer_shape(**shapes)[1]))
    nodes = json.loads(symbol.tojson())["nodes"]
    total = 0.0
    for node in nodes:
        if node["op"] in ("Convolution", "FullyConnected"):
            source = nodes[node["inputs"][1][0]]
            weight = shape_of[source["name"] if source["op"] == "null" else source["name"] + "_output"]
            total += 2.0 * math.prod(shape_of[node["name"] + "_output"]) * math.prod(weight[1:])
    return total
