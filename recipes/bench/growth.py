"""Time and memory of the classifier over classes, batch size and contexts, with the model's lines, in one picture.

Run: OMP_NUM_THREADS=1 python recipes/bench/growth.py --json growth.json --plot growth.png

The JSON file is written after each point, and the same command goes on with the points that it lacks. The model's line
for the time has no free constant: it is `arcface_mx/planning/cost.py` with the rates of a square product and of a copy,
measured in the same run. The line for the memory is what `arcface-mx plan` says. A million classes take about 10 GB.
The last two panels are computed, up to 100,000,000 classes and 1,024 devices, for ResNet50 on a GPU of `--card`.
"""

from __future__ import annotations

import argparse
import os
import statistics
from typing import Any, Callable, Dict, List

import numpy as np
from cases import Case, run_cases
from centres import planned_mb, setup
from head import PEAK_SIDE, peak_case

from arcface_mx.bench.results import origin, report
from arcface_mx.config import from_flat
from arcface_mx.planning.cards import CARDS
from arcface_mx.planning.cost import Backbone, Head, Machine, step_cost
from arcface_mx.planning.scaling import scaling
from arcface_mx.planning.workload import Workload
from arcface_mx.util.environment import available_cores
from arcface_mx.util.errors import UserError
from arcface_mx.util.files import read_json, write_json
from arcface_mx.util.plots import COLOURS, drawing
from arcface_mx.util.tables import markdown_table

D = 512  # embedding size
COPIED = 1 << 26  # numbers that are copied to measure the rate of the memory
AXES = ("classes", "batch_size", "contexts")
HEADER = [*AXES, "ms a step", "model ms", "peak MB", "planned MB"]


def points(classes: List[int], batch_sizes: List[int], contexts: List[int], middle: int) -> List[Dict[str, int]]:
    """Each value of an axis with 128 images, one context and `middle` classes on the others, without repetition."""
    first = {"classes": middle, "batch_size": 128, "contexts": 1}
    values = dict(zip(AXES, (classes, batch_sizes, contexts)))
    found = [dict(first, **{axis: value}) for axis in AXES for value in values[axis]]
    return [point for number, point in enumerate(found) if point not in found[:number]]


def copy() -> Callable[[], int]:
    """Copy an array that no cache holds."""
    source = np.ones(COPIED, np.float32)
    target = np.empty_like(source)

    def run() -> int:
        np.copyto(target, source)
        return 2 * 4 * COPIED

    return run


def machine_rates(repetitions: int) -> Dict[str, float]:
    """Operations and bytes a second of one context."""
    (product, copied), _ = run_cases([peak_case(), Case("copy", copy)], repetitions)
    return {"operations": product.median * 6.0 * PEAK_SIDE**3, "bytes_of_memory": copied.median}


def model_seconds(point: Dict[str, int], rates: Dict[str, float], cores: int) -> float:
    """The cost model's time. Contexts share the images and the cores of one machine."""
    machine = Machine(rates["operations"], float("inf"), rates["bytes_of_memory"])
    cost = step_cost(Backbone(0, 0, D), Head(point["classes"], split=False), point["batch_size"], 1)
    return cost.seconds(machine)["head"] / min(point["contexts"], cores)


def measure(point: Dict[str, int], repetitions: int) -> Dict[str, Any]:
    """Milliseconds of each step, and the peak of memory."""
    shape = dict(point, embedding_size=D, sample_rate=1.0)
    (timing,), _ = run_cases([Case("step", setup, shape)], repetitions)
    planned = planned_mb(point["classes"], point["contexts"], point["batch_size"], D, 1.0) * point["contexts"]
    milliseconds = [1e3 / rate for rate in timing.rates]
    return {**point, "ms": milliseconds, "cpu_ms": 1e3 * timing.cpu, "mb": timing.peak_mb, "planned_mb": planned}


def opened(path: str, settings: Dict[str, Any]) -> Dict[str, Any]:
    """The document of an earlier call, or a new one. Raises UserError if it was measured on another machine."""
    document = report("python recipes/bench/growth.py", settings, points=[])
    if not os.path.exists(path):
        return document
    earlier = read_json(path)
    for name in ("processor", "cores", "OMP_NUM_THREADS"):
        if earlier["machine"][name] != document["machine"][name]:
            raise UserError(f"{path}: was measured with {name} {earlier['machine'][name]}; give another file name")
    return {**document, **{name: earlier[name] for name in ("points", "rates", "planner") if name in earlier}}


def along(document: Dict[str, Any], axis: str, middle: int) -> List[Dict[str, Any]]:
    """The points that differ from the first one in one axis only."""
    first = {"classes": middle, "batch_size": 128, "contexts": 1}
    fixed = [name for name in AXES if name != axis]
    found = [point for point in document["points"] if all(point[name] == first[name] for name in fixed)]
    return sorted(found, key=lambda point: int(point[axis]))


def draw(document: Dict[str, Any], path: str, middle: int) -> None:
    """Measured points and model's lines, then the planner's lines."""
    cores = document["machine"]["cores"]
    with drawing(path, panels=8, columns=2, width=9.2, height=2.8) as axes:
        for row, axis in enumerate(AXES):
            chosen = along(document, axis, middle)
            at = [point[axis] for point in chosen]
            model = [1e3 * model_seconds(point, document["rates"], cores) for point in chosen]
            axes[2 * row].plot(at, model, color=COLOURS[1], label="cost model")
            medians = [statistics.median(point["ms"]) for point in chosen]
            axes[2 * row].plot(at, medians, "o", color=COLOURS[0], label="measured")
            axes[2 * row + 1].plot(at, [point["planned_mb"] for point in chosen], color=COLOURS[1], label="plan")
            axes[2 * row + 1].plot(at, [point["mb"] for point in chosen], "o", color=COLOURS[0], label="measured")
            for panel, name in zip(axes[2 * row :], ("ms a step", "MB")):
                panel.set(xscale="log", yscale="log", xlabel=axis.replace("_", " "), ylabel=name)
                panel.legend()
        for colour, devices in zip(COLOURS, sorted({row["devices"] for row in document["planner"]})):
            rows = [
                row for row in document["planner"] if row["devices"] == devices and row["mode"] == planned_mode(row)
            ]
            at = [row["classes"] for row in rows]
            axes[6].plot(at, [row["images_per_second"] for row in rows], color=colour, label=f"{devices} devices")
            axes[7].plot(at, [row.get("gigabytes") for row in rows], color=colour, label=f"{devices} devices")
        for panel, name in zip(axes[6:], ("images/s (computed)", "GB a device (computed)")):
            panel.set(xscale="log", yscale="log", xlabel="classes", ylabel=name)
            panel.legend()


def planned_mode(row: Dict[str, Any]) -> str:
    """Whole centres on one device, and centres split by class on several."""
    return "data" if row["devices"] == 1 else "centres"


def numbers(text: str) -> List[int]:
    """Numbers of a list such as 1,2,4."""
    return [int(word) for word in text.split(",")]


def main(arguments: Any = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", metavar="FILE", required=True, help="the results; points that it has are kept")
    parser.add_argument("--plot", metavar="FILE.png", help="the picture")
    parser.add_argument("--classes", default="10000,30000,100000,300000,1000000", help="(default: %(default)s)")
    parser.add_argument("--batch-sizes", default="32,64,128,256,512", help="(default: %(default)s)")
    parser.add_argument("--contexts", default="1,2,4", help="CPU contexts (default: %(default)s)")
    parser.add_argument("--middle", type=int, default=100_000, help="classes of the other axes (default: %(default)s)")
    parser.add_argument("--card", choices=list(CARDS), default="1080ti", help="of the planner (default: %(default)s)")
    parser.add_argument("--repetitions", type=int, default=5, help="steps after the first (default: %(default)s)")
    args = parser.parse_args(arguments)
    document = opened(args.json, {name: value for name, value in vars(args).items() if name not in ("json", "plot")})
    if "rates" not in document:
        document["rates"] = machine_rates(args.repetitions)
    for point in points(numbers(args.classes), numbers(args.batch_sizes), numbers(args.contexts), args.middle):
        if point not in [{axis: done[axis] for axis in AXES} for done in document["points"]]:
            document["points"].append(measure(point, args.repetitions))
            write_json(args.json, document)
    if "planner" not in document:
        workload = Workload.of(from_flat({"network": "iresnet50", "batch_size": 64, "devices": "gpu(0)"}))
        document["planner"] = scaling(workload, CARDS[args.card].machine)
        write_json(args.json, document)
    rows = [HEADER]
    for done in document["points"]:
        model = 1e3 * model_seconds(done, document["rates"], available_cores())
        values = (statistics.median(done["ms"]), model, done["mb"], done["planned_mb"])
        rows.append([str(done[axis]) for axis in AXES] + [f"{value:.0f}" for value in values])
    print(f"{markdown_table(rows)}\n\n{origin(document)}")
    if args.plot:
        draw(document, args.plot, args.middle)


if __name__ == "__main__":
    main()
