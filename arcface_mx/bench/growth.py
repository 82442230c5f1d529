"""How a step's time and memory grow with classes, batch and devices, beside the cost model's line.

Head alone for classes and batch: time is that of its three products, 6·N·n·d operations at the rate
of the largest native point; memory is W and its gradient, and one N×n array.

The default recipes' whole step for devices, CPU contexts that share this machine's cores and memory:
both are D times what `parallel/cost.py` and `parallel/plan.py` say of a device. Operations run at the
rate of the point with one device, gradients are sent at the speed of a copy in memory, measured beside.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np

from arcface_mx.bench import network
from arcface_mx.bench.race import Contestant, race
from arcface_mx.bench.timing import Timing, compare
from arcface_mx.config import from_flat
from arcface_mx.planning import cost
from arcface_mx.planning.plan import Plan, make_plan
from arcface_mx.planning.workload import Workload

CLASSES = (1000, 5000, 10572, 42871, 85742)
BATCHES = (32, 64, 128, 256)
DEVICES = (1, 2, 4)
SIZE, SAMPLES, BATCH_CLASSES, DEVICE_CLASSES = 512, 128, 10572, 10572
HEADS = ("graph", "native")


@dataclass(frozen=True)
class Point:
    """One measured step. axis: "classes", "batch" or "devices"; line: "graph" or "native"."""

    axis: str
    line: str
    at: int
    milliseconds: float  # of the clock
    cpu_milliseconds: float
    megabytes: float
    model_gflop: Optional[float]  # of all devices
    model_megabytes: Optional[float]
    model_milliseconds: Optional[float] = None  # of the processor


def measure(repetitions: int) -> List[Point]:
    """All points; the contestants of one place of an axis run in turn."""
    points: List[Point] = []
    for n in CLASSES:
        points += _heads("classes", n, {"samples": SAMPLES, "classes": n}, repetitions)
    for batch in BATCHES:
        points += _heads("batch", batch, {"samples": batch, "classes": BATCH_CLASSES}, repetitions)
    return with_times(points) + _devices(repetitions)


def with_times(points: Sequence[Point]) -> List[Point]:
    """Head points with the model's time: their products at the rate of the native head's largest point."""
    largest = max((point for point in points if point.line == "native"), key=lambda point: point.model_gflop or 0.0)
    pace = largest.cpu_milliseconds / (largest.model_gflop or 1.0)
    return [dataclasses.replace(point, model_milliseconds=pace * (point.model_gflop or 0.0)) for point in points]


def _devices(repetitions: int) -> List[Point]:
    name, width, side, size, batch, _ = network.NETWORKS["recipe"]
    shape = {"network": name, "width": width, "side": side, "size": size, "batch": batch, "classes": DEVICE_CLASSES}
    timings = []
    for count in DEVICES:
        entry = Contestant("native", "arcface_mx.bench.network", dict(shape, training=True, tuned=True, devices=count))
        timings += race([entry], repetitions)
    plans = {count: _plan(count) for count in DEVICES}
    parameters = plans[1].parts["backbone weights"] / 4
    forward = 1e9 * network.gflop(name, width, side, size)
    backbone, head = cost.Backbone(forward, parameters, size), cost.Head(DEVICE_CLASSES, split=False)
    steps = {count: cost.step_cost(backbone, head, batch // count, count) for count in DEVICES}
    pace = 1e3 * batch * timings[0].cpu / steps[1].operations  # ms an operation
    copied = _copy_rate()
    points = []
    for count, timing in zip(DEVICES, timings):
        operations = count * steps[count].operations
        point = _point("devices", count, timing, batch, 1e-9 * operations, count * plans[count].total / 2**20)
        copying = 1e3 * count * steps[count].bytes_sent / copied
        points.append(dataclasses.replace(point, model_milliseconds=pace * operations + copying))
    return points


def _plan(devices: int) -> Plan:
    name, width, side, size, batch, _ = network.NETWORKS["recipe"]
    values = {"network": name, "width": width, "image_size": side, "embedding_size": size, "batch_size": batch}
    contexts = ",".join(f"cpu({number})" for number in range(devices))
    return make_plan(Workload.of(from_flat(dict(values, devices=contexts))), DEVICE_CLASSES)


def _copy_rate() -> float:
    """Bytes a processor second of a copy in memory."""
    source = np.ones(1 << 24, np.float32)
    target = np.empty_like(source)

    def copy() -> int:
        np.copyto(target, source)
        return int(source.nbytes)

    return 1.0 / compare({"copy": copy}, 5)[0].cpu


def _heads(axis: str, at: int, shape: Dict[str, int], repetitions: int) -> List[Point]:
    arguments: Dict[str, Any] = dict(shape, size=SIZE, update=False)
    entries = [Contestant(head, "arcface_mx.bench.head", dict(arguments, head=head)) for head in HEADS]
    gflop = 6e-9 * shape["samples"] * shape["classes"] * SIZE
    megabytes = (2 * shape["classes"] * SIZE + shape["samples"] * shape["classes"]) * 4 / 2**20
    return [_point(axis, at, timing, 1, gflop, megabytes) for timing in race(entries, repetitions)]


def _point(axis: str, at: int, timing: Timing, items: int, gflop: Optional[float], megabytes: Optional[float]) -> Point:
    return Point(
        axis,
        timing.name,
        at,
        1e3 * items / timing.median,
        1e3 * items * timing.cpu,
        timing.peak_mb or 0.0,
        gflop,
        megabytes,
    )


def to_json(points: Sequence[Point]) -> List[Dict[str, Any]]:
    return [dataclasses.asdict(point) for point in points]


def lines(points: Sequence[Point]) -> List[str]:
    """A Markdown table."""
    rows = ["| | at | ms a step | CPU ms | model CPU ms | MB | model MB |", "|---|---:|---:|---:|---:|---:|---:|"]
    for one in points:
        time, memory = (f"{value:.0f}" if value else "" for value in (one.model_milliseconds, one.model_megabytes))
        what = f"{one.axis}, {one.line}"
        values = (what, one.at, one.milliseconds, one.cpu_milliseconds, time, one.megabytes, memory)
        rows.append("| %s | %d | %.0f | %.0f | %s | %.0f | %s |" % values)
    return rows


def draw(points: Sequence[Point], path: str) -> None:
    """PNG: CPU time above, memory below; classes, batch, devices from left to right."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from arcface_mx.util.files import atomic_write

    figure = Figure(figsize=(12, 7), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, 3)
    titles = {
        "classes": f"head, batch {SAMPLES}, d {SIZE}",
        "batch": f"head, {BATCH_CLASSES} classes, d {SIZE}",
        "devices": f"whole step, default recipe, {DEVICE_CLASSES} classes",
    }
    labels = {"classes": "classes n", "batch": "batch N", "devices": "devices (CPU contexts)"}
    for column, (axis, title) in enumerate(titles.items()):
        own = [point for point in points if point.axis == axis]
        if not own:
            continue
        upper, lower = axes[0][column], axes[1][column]
        for line in sorted({point.line for point in own}):
            part = [point for point in own if point.line == line]
            places = [point.at for point in part]
            upper.plot(places, [point.cpu_milliseconds for point in part], "o-", label=line)
            lower.plot(places, [point.megabytes for point in part], "o-", label=line)
        for panel, values in ((upper, _times(own)), (lower, _memory(own))):
            if values:
                panel.plot(*zip(*values), "k--", linewidth=1, label="cost model")
            panel.set_ylim(0, 1.08 * panel.dataLim.ymax)
            panel.set_xlabel(labels[axis])
            if axis == "devices":
                panel.set_xticks([point.at for point in own])
            panel.grid(alpha=0.3)
            panel.legend()
        upper.set_title(title)
    axes[0][0].set_ylabel("processor ms a step")
    axes[1][0].set_ylabel("peak memory above the libraries, MB")
    with atomic_write(path) as stream:
        figure.savefig(stream, format="png", dpi=110)


def _times(points: Sequence[Point]) -> List[Tuple[int, float]]:
    return sorted({(point.at, point.model_milliseconds) for point in points if point.model_milliseconds})


def _memory(points: Sequence[Point]) -> List[Tuple[int, float]]:
    return sorted({(point.at, point.model_megabytes) for point in points if point.model_megabytes})
