"""How a step's time and memory grow with classes, batch and devices, beside the cost model's line.

Head alone for classes and batch; the default recipes' whole step for devices (CPU contexts, one
after another where there are fewer cores). The model: time is that of the head's three products,
6·N·n·d operations at the rate of the largest native point; memory is W and its gradient, and one
N×n array.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Sequence, Tuple

from arcface_mx.bench import network
from arcface_mx.bench.race import Contestant, race
from arcface_mx.bench.timing import Timing

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
    model_gflop: Optional[float]
    model_megabytes: Optional[float]


def measure(repetitions: int) -> List[Point]:
    """All points; the contestants of one place of an axis run in turn."""
    points: List[Point] = []
    for n in CLASSES:
        points += _heads("classes", n, {"samples": SAMPLES, "classes": n}, repetitions)
    for batch in BATCHES:
        points += _heads("batch", batch, {"samples": batch, "classes": BATCH_CLASSES}, repetitions)
    for count in DEVICES:
        name, width, side, size, batch, _ = network.NETWORKS["recipe"]
        shape = {"network": name, "width": width, "side": side, "size": size, "batch": batch, "classes": DEVICE_CLASSES}
        entry = Contestant("native", "arcface_mx.bench.network", dict(shape, training=True, tuned=True, devices=count))
        points += [_point("devices", count, timing, batch, None, None) for timing in race([entry], repetitions)]
    return points


def _heads(axis: str, at: int, shape: Dict[str, int], repetitions: int) -> List[Point]:
    arguments: Dict[str, Any] = dict(shape, size=SIZE, update=False)
    entries = [Contestant(head, "arcface_mx.bench.head", dict(arguments, head=head)) for head in HEADS]
    gflop = 6e-9 * shape["samples"] * shape["classes"] * SIZE
    megabytes = (2 * shape["classes"] * SIZE + shape["samples"] * shape["classes"]) * 4 / 2**20
    return [_point(axis, at, timing, 1, gflop, megabytes) for timing in race(entries, repetitions)]


def _point(axis: str, at: int, timing: Timing, items: int, gflop: Optional[float], megabytes: Optional[float]) -> Point:
    return Point(axis, timing.name, at, 1e3 * items / timing.median, 1e3 * items * timing.cpu, timing.peak_mb or 0.0, gflop, megabytes)


def to_json(points: Sequence[Point]) -> List[Dict[str, Any]]:
    return [dataclasses.asdict(point) for point in points]


def lines(points: Sequence[Point]) -> List[str]:
    """A Markdown table."""
    rows = ["| | at | ms a step | CPU ms | MB | model MB |", "|---|---:|---:|---:|---:|---:|"]
    for one in points:
        model = "%.0f" % one.model_megabytes if one.model_megabytes else ""
        what = "%s, %s" % (one.axis, one.line)
        rows.append("| %s | %d | %.0f | %.0f | %.0f | %s |" % (what, one.at, one.milliseconds, one.cpu_milliseconds, one.megabytes, model))
    return rows


def draw(points: Sequence[Point], path: str) -> None:
    """PNG: CPU time above, memory below; classes, batch, devices from left to right."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from arcface_mx.files import whole_file

    figure = Figure(figsize=(12, 7), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, 3)
    titles = {
        "classes": "head, batch %d, d %d" % (SAMPLES, SIZE),
        "batch": "head, %d classes, d %d" % (BATCH_CLASSES, SIZE),
        "devices": "whole step, default recipe, %d classes" % DEVICE_CLASSES,
    }
    labels = {"classes": "classes n", "batch": "batch N", "devices": "devices (CPU contexts)"}
    rate = _rate(points)
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
        for panel, values in ((upper, _times(own, rate)), (lower, _memory(own))):
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
    with whole_file(path) as stream:
        figure.savefig(stream, format="png", dpi=110)


def _rate(points: Sequence[Point]) -> float:
    """GFLOP a millisecond of the native head's largest point."""
    native = [point for point in points if point.line == "native" and point.model_gflop]
    largest = max(native, key=lambda point: point.model_gflop or 0.0)
    return (largest.model_gflop or 0.0) / largest.cpu_milliseconds


def _times(points: Sequence[Point], rate: float) -> List[Tuple[int, float]]:
    return sorted({(point.at, point.model_gflop / rate) for point in points if point.model_gflop})


def _memory(points: Sequence[Point]) -> List[Tuple[int, float]]:
    return sorted({(point.at, point.model_megabytes) for point in points if point.model_megabytes})
