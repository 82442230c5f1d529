"""The cost model and the plan over many numbers of classes and devices, as a table."""

from __future__ import annotations

import dataclasses
from typing import Any, Dict, List, Sequence

from arcface_mx.config import TrainConfig
from arcface_mx.model.backbone import embedding_symbol
from arcface_mx.parallel.split import TooManyNumbers
from arcface_mx.planning.cost import Machine, Step, forward_operations, step
from arcface_mx.planning.memory_estimate import parameter_bytes
from arcface_mx.planning.plan import check_whole_arrays, make_plan

CLASSES = (10_000, 100_000, 1_000_000, 10_000_000, 100_000_000)
DEVICES = (1, 8, 64, 1024)
MODES: Dict[str, Dict[str, Any]] = {
    "data": {"parallel": "data"},
    "centres": {"parallel": "centres"},
    "sampled 0.1": {"parallel": "centres", "sample_rate": 0.1},
}


def scaling(
    config: TrainConfig,
    machine: Machine,
    images: int,
    classes: Sequence[int] = CLASSES,
    devices: Sequence[int] = DEVICES,
) -> List[Dict[str, Any]]:
    """A row for each mode, n and D: images/s of all devices, what takes most of a step, GB a device, and what MXNet cannot do."""
    symbol, side = embedding_symbol(config, training=True), config.data.image_size
    forward = forward_operations(symbol, data=(1, 3, side, side))
    parameters = sum(parameter_bytes(symbol, ["data"], data=(1, 3, side, side)).values()) / 4
    rows = []
    for mode, values in MODES.items():
        rate, split = values.get("sample_rate", 1.0), values["parallel"] == "centres"
        for count in classes:
            for number in devices:
                if mode != "centres" or number > 1:
                    cost = step(forward, parameters, images, number, count, config.network.embedding_size, split, rate)
                    rows.append(_row(config, cost, machine, mode, images, count, number))
    return rows


def _row(
    config: TrainConfig, cost: Step, machine: Machine, mode: str, images: int, classes: int, devices: int
) -> Dict[str, Any]:
    seconds, values = cost.seconds(machine), MODES[mode]
    names = ",".join(f"gpu({number})" for number in range(devices))
    own = dataclasses.replace(
        config,
        data=dataclasses.replace(config.data, batch_size=images * devices),
        loss=dataclasses.replace(config.loss, sample_rate=values.get("sample_rate", 1.0)),
        run=dataclasses.replace(config.run, devices=names, parallel=values["parallel"]),
    )
    row = {
        "mode": mode,
        "classes": classes,
        "devices": devices,
        "images_per_second": images * devices / sum(seconds.values()),
    }
    row.update(most=max(seconds, key=lambda what: seconds[what]), sent_megabytes=cost.sent / 1e6, limit="")
    try:
        row["gigabytes"] = make_plan(own, classes, 1 << 60).total / 1e9
        check_whole_arrays(own, classes)
    except TooManyNumbers as error:
        row["limit"] = error.limit
    return row


def scaling_table(rows: Sequence[Dict[str, Any]]) -> str:
    """Markdown."""
    lines = [
        "| mode | classes | devices | images/s | most of a step | MB sent a step | GB a device | MXNet 1.9.1 |",
        "|---" * 8 + "|",
    ]
    for row in rows:
        memory = f"{row['gigabytes']:.1f}" if "gigabytes" in row else "-"
        limit = "refused: " + row["limit"] if row["limit"] else ""
        lines.append(
            f"| {row['mode']} | {row['classes']} | {row['devices']} | {row['images_per_second']:.0f} | "
            f"{row['most']} | {row['sent_megabytes']:.0f} | {memory} | {limit} |"
        )
    return "\n".join(lines)
