"""The classifier alone, split by class over contexts: step time and memory, each in a process of its own."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any, Dict, List, Sequence

from arcface_mx.bench.worker import resident_mb

MEGABYTE = 1e6


@dataclass(frozen=True)
class Measured:
    """One configuration: medians over the repetitions; bytes of the whole process above what it had before."""

    classes: int
    devices: int
    seconds_a_step: float
    peak_bytes: int
    planned_bytes: int  # of all devices together
    loss: float


def measure(
    classes: Sequence[int],
    devices: Sequence[int],
    images: int,
    width: int,
    steps: int,
    repetitions: int,
    rate: float = 1.0,
) -> List[Measured]:
    """Every number of classes with every number of CPU contexts; repetitions are interleaved over the latter."""
    found = []
    for count in classes:
        runs: Dict[int, List[Dict[str, float]]] = {contexts: [] for contexts in devices}
        for _ in range(repetitions):
            for contexts in devices:
                runs[contexts].append(_in_a_process(count, contexts, images, width, steps, rate))
        for contexts in devices:
            middle = {key: statistics.median(run[key] for run in runs[contexts]) for key in runs[contexts][0]}
            found.append(
                Measured(
                    count,
                    contexts,
                    middle["seconds"],
                    int(middle["peak"]),
                    _planned(count, contexts, images, width, rate),
                    middle["loss"],
                )
            )
    return found


def table(measured: Sequence[Measured]) -> str:
    """Lines for people; ratios are to the first number of contexts of the same classes."""
    lines = [
        f"{'classes'!s:>10} {'contexts'!s:>9} {'s a step'!s:>12} {'ratio'!s:>7} {'peak MB'!s:>11} "
        f"{'MB a context'!s:>14} {'planned MB'!s:>13}"
    ]
    first: Dict[int, Measured] = {}
    for one in measured:
        base = first.setdefault(one.classes, one)
        lines.append(
            f"{one.classes:10d} {one.devices:9d} {one.seconds_a_step:12.3f} "
            f"{one.seconds_a_step / base.seconds_a_step:7.2f} {one.peak_bytes / MEGABYTE:11.0f} "
            f"{one.peak_bytes / MEGABYTE / one.devices:14.0f} "
            f"{one.planned_bytes / MEGABYTE / one.devices:13.0f}"
        )
    return "\n".join(lines)


def _planned(classes: int, devices: int, images: int, width: int, rate: float) -> int:
    from arcface_mx.config import from_flat
    from arcface_mx.planning.plan import make_plan
    from arcface_mx.planning.workload import Workload

    names = ",".join(f"cpu({number})" for number in range(devices))
    values = {
        "devices": names,
        "batch_size": images,
        "embedding_size": width,
        "parallel": "centres",
        "sample_rate": rate,
    }
    small = {"network": "iresnet18", "width": 0.05, "image_size": 32}
    parts = make_plan(Workload.of(from_flat(dict(values, **small))), classes, 1 << 50).parts
    return devices * sum(size for what, size in parts.items() if "centres" in what or what == "gathered embeddings")


def _in_a_process(*arguments: Any) -> Dict[str, float]:
    command = [sys.executable, "-m", "arcface_mx.bench.centres", *map(str, arguments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def _steps(classes: int, devices: int, images: int, width: int, steps: int, rate: float) -> Dict[str, float]:
    """Steps of ArcFace on random embeddings; the first one, which allocates, is not timed."""
    import mxnet as mx
    import numpy as np

    from arcface_mx.config import LossConfig
    from arcface_mx.parallel.centre_module import CentreParallelModule

    before = resident_mb("VmRSS")
    embedding = mx.sym.FullyConnected(mx.sym.Variable("data"), num_hidden=width, name="fc1")
    contexts = [mx.cpu(number) for number in range(devices)]
    module = CentreParallelModule(embedding, LossConfig(sample_rate=rate), classes, contexts)
    module.bind([("data", (images, 16))], [("label", (images,))])
    module.init_params(mx.init.Xavier())
    module.init_optimizer("device", "sgd", {"learning_rate": 0.1, "momentum": 0.9, "wd": 5e-4})
    random, times = np.random.RandomState(0), []
    for _ in range(steps + 1):
        labels = mx.nd.array(random.randint(0, classes, images), dtype="int32")
        batch = mx.io.DataBatch([mx.nd.array(random.normal(size=(images, 16)))], [labels])
        mx.nd.waitall()
        start = time.perf_counter()
        module.forward_backward(batch)
        module.update()
        mx.nd.waitall()
        times.append(time.perf_counter() - start)
    loss = float(module.get_outputs()[0].mean().asscalar())
    return {"seconds": statistics.median(times[1:]), "peak": (resident_mb("VmHWM") - before) * 2**20, "loss": loss}


if __name__ == "__main__":
    classes, devices, images, width, steps = (int(value) for value in sys.argv[1:6])
    print(json.dumps(_steps(classes, devices, images, width, steps, float(sys.argv[6]))))
