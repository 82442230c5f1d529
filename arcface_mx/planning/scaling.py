"""A table of cost model and memory plan over many numbers of classes and devices."""

from __future__ import annotations

import dataclasses
from itertools import product
from typing import Any, Dict, List, Sequence, Tuple

from arcface_mx.losses.base import ClassificationLoss
from arcface_mx.parallel.split import TooManyNumbers
from arcface_mx.planning.cost import BYTES, Backbone, Head, Machine, forward_operations, step_cost
from arcface_mx.planning.memory_estimate import parameter_bytes
from arcface_mx.planning.plan import check_whole_arrays, make_plan
from arcface_mx.planning.workload import Workload
from arcface_mx.util.errors import UserError
from arcface_mx.util.tables import markdown_table

CLASSES = (10_000, 100_000, 1_000_000, 10_000_000, 100_000_000)
DEVICES = (1, 8, 64, 1024)
# Values of `parallel` and `sample_rate`.
MODES: Dict[str, Tuple[str, float]] = {
    "data": ("data", 1.0),
    "centres": ("centres", 1.0),
    "sampled 0.1": ("centres", 0.1),
}
UNLIMITED = 1 << 60  # bytes


def scaling(
    workload: Workload,
    machine: Machine,
    classes: Sequence[int] = CLASSES,
    devices: Sequence[int] = DEVICES,
) -> List[Dict[str, Any]]:
    """Return a row for each mode, number of classes and number of devices.

    The batch size of the workload is that of each device. A row has the images per second of all
    devices, the part that takes most of a step, the gigabytes of each device, and what MXNet cannot do.
    Raises UserError if the loss has no class centres.
    """
    loss = workload.loss
    if not isinstance(loss, ClassificationLoss):
        raise UserError(f"`loss` {loss.name} has no class centres, which the cost model is about")
    symbol, shape = workload.backbone.symbol(training=True), (1, *workload.backbone.input_shape)
    parameters = parameter_bytes(symbol, ["data"], data=shape)[1] / BYTES
    backbone = Backbone(forward_operations(symbol, data=shape), parameters, workload.backbone.embedding_size)
    rows = []
    for mode, num_classes, num_devices in product(MODES, classes, devices):
        parallel, sample_rate = MODES[mode]
        if mode == "centres" and num_devices == 1:
            continue  # the same as "data"
        head = Head(num_classes, parallel == "centres", sample_rate)
        cost = step_cost(backbone, head, workload.batch_size, num_devices)
        seconds = cost.seconds(machine)
        row = {
            "mode": mode,
            "classes": num_classes,
            "devices": num_devices,
            "images_per_second": workload.batch_size * num_devices / sum(seconds.values()),
            "most": max(seconds, key=lambda part: seconds[part]),
            "sent_megabytes": cost.bytes_sent / 1e6,
        }
        case = dataclasses.replace(
            workload,
            loss=dataclasses.replace(loss, sample_rate=sample_rate),
            batch_size=workload.batch_size * num_devices,
            devices="gpu(0)",  # one process a GPU, whose gradients NCCL adds in place
            workers=num_devices,
            parallel=parallel,
        )
        rows.append({**row, **_memory(case, num_classes)})
    return rows


def _memory(workload: Workload, classes: int) -> Dict[str, Any]:
    """Return the gigabytes of each device, or the limit of MXNet that the run exceeds."""
    memory: Dict[str, Any] = {"limit": ""}
    try:
        memory["gigabytes"] = make_plan(workload, classes, UNLIMITED).total / 1e9
        check_whole_arrays(workload, classes)
    except TooManyNumbers as error:
        memory["limit"] = error.limit
    return memory


def scaling_table(rows: Sequence[Dict[str, Any]]) -> str:
    """Format the rows as a Markdown table."""
    header = ["mode", "classes", "devices", "images/s", "most of a step", "MB sent a step", "GB a device"]
    return markdown_table(
        [
            [*header, "MXNet 1.9.1"],
            *(
                [
                    row["mode"],
                    str(row["classes"]),
                    str(row["devices"]),
                    f"{row['images_per_second']:.0f}",
                    row["most"],
                    f"{row['sent_megabytes']:.0f}",
                    f"{row['gigabytes']:.1f}" if "gigabytes" in row else "-",
                    f"refused: {row['limit']}" if row["limit"] else "",
                ]
                for row in rows
            ),
        ]
    )
