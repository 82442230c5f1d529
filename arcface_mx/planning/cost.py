"""What a step costs on each device: operations, bytes between devices, bytes of memory traffic; and the time they take.

For D devices with b images each, N = b·D, n classes, embeddings of d, P backbone parameters, float32:

    operations      b·(3·F) backbone (F forward, backward twice as much)  +  6·b·n·d head, split or not
    sent, data      2·(D−1)/D·4·(P + n·d)            gradients of everything, added over the devices
    sent, centres   2·(D−1)/D·4·P + 2·(D−1)/D·4·N·d  gradients of the backbone; embeddings and their gradients
    memory          TRAFFIC·4·d·n (data) or ·n/D (centres): the passes over W in normalisation, gradient, update

With centres the head's operations a device do not fall with D, because N grows: what falls is memory, and
what is sent no longer depends on n. Sampling at rate r multiplies the head's operations by r.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any, Dict, Tuple

# Reads and writes of a whole n×d array in a step: W and unit centres in the forward pass (4), their
# gradients (6), weight, gradient and momentum in the update (5).
TRAFFIC = 15


@dataclass(frozen=True)
class Machine:
    """One device and its link, as sustained in practice: operations/s, bytes/s sent, bytes/s of memory."""

    flops: float
    link: float
    memory: float


@dataclass(frozen=True)
class Step:
    """One device's step: operations, bytes sent, bytes of memory traffic of the classifier."""

    backbone: float
    head: float
    sent: float
    traffic: float

    def seconds(self, machine: Machine) -> Dict[str, float]:
        """Time by what takes it; a step is their sum where nothing overlaps."""
        return {
            "backbone": self.backbone / machine.flops,
            "head": max(self.head / machine.flops, self.traffic / machine.memory),
            "link": self.sent / machine.link,
        }


def step(
    forward: float,
    parameters: float,
    images: int,
    devices: int,
    classes: float,
    width: int,
    split: bool,
    rate: float = 1.0,
) -> Step:
    """A step's cost. forward: operations of the backbone an image; images: on each device; split: centres over the devices."""
    others = (devices - 1) / devices
    held = classes / devices if split else classes
    exchanged = images * devices * width if split else classes * width
    return Step(
        backbone=3.0 * forward * images,
        head=6.0 * images * classes * width * rate,
        sent=2.0 * others * 4.0 * (parameters + exchanged),
        traffic=TRAFFIC * 4.0 * held * width * rate,
    )


def forward_operations(symbol: Any, **shapes: Tuple[int, ...]) -> float:
    """Operations (two a multiply-add) of the convolutions and fully connected layers of a graph."""
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
