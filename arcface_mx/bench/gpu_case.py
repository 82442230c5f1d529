"""One case of `bench gpu`, in a process of its own: python -m arcface_mx.bench.gpu_case SETTINGS; prints JSON.

MXNet and CUDA read environment variables once, so a case with other variables needs another process.
"""

from __future__ import annotations

import itertools
import json
import sys
import time
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, Dict, List, Optional

WARM_UP = 3  # steps; cuDNN chooses its algorithms in the first


def measure_steps(
    config: Dict[str, Any],
    steps: int,
    repetitions: int,
    fast_prelu: Optional[bool] = None,
    guard: bool = True,
    reading: bool = False,
) -> Dict[str, Any]:
    """Return the images per second of whole training steps, and the memory of the first device.

    Parameters
    ----------
    config : dict
        Settings of the run, flat.
    steps, repetitions : int
        Steps of a repetition, and repetitions.
    fast_prelu : bool, optional
        The form of PReLU (`DeviceSettings.fast_prelu`). The default is that of the devices.
    guard : bool
        Whether loss and gradient of each step are checked, as `train` does.
    reading : bool
        Whether each step has a new batch from the reader. Otherwise all have the first one.
    """
    import mxnet as mx

    from arcface_mx.bench.steps import make_trainer
    from arcface_mx.config import from_flat
    from arcface_mx.planning.plan import make_plan
    from arcface_mx.planning.workload import Workload
    from arcface_mx.train.resolve import resolve
    from arcface_mx.train.worker import join

    resolved = from_flat(config)
    run = resolve(resolved, join(resolved.run.kvstore))
    gpu = run.contexts[0].device_id if run.contexts[0].device_type == "gpu" else None
    free = free_memory(gpu)
    if fast_prelu is not None:
        run = with_prelu(run, fast_prelu)
    if not reading:
        batch = next(run.reader.batches())
        repeated: Any = SimpleNamespace(batches=lambda start: itertools.repeat(batch))
        run = replace(run, reader=repeated)
    if not guard:
        leave_out_the_guard()
    trainer, _, _ = make_trainer(run)
    rates: List[float] = []
    for count in [WARM_UP] + repetitions * [steps]:
        start = time.perf_counter()
        for _ in range(count):
            trainer.compute_gradients()
            trainer.update()
        mx.nd.waitall()
        rates.append(count * run.batch_size / (time.perf_counter() - start))
    workload = Workload.of(resolved)
    return {
        "rates": rates[1:],
        "planned_bytes": make_plan(workload, run.index.num_classes).total,
        "used_bytes": None if gpu is None else free - free_memory(gpu),
    }


def free_memory(gpu: Optional[int]) -> int:
    """Return the free bytes of a GPU, 0 for a CPU."""
    import mxnet as mx

    return 0 if gpu is None else int(mx.context.gpu_memory_info(gpu)[0])


def with_prelu(run: Any, fast: bool) -> Any:
    """Return a run whose PReLUs have the fast form or MXNet's."""
    from arcface_mx.losses.graph import training_graph

    backbone = replace(run.backbone, settings=replace(run.backbone.settings, fast_prelu=fast))
    symbol = backbone.symbol(training=True)
    graph = training_graph(symbol, run.loss, run.index.num_classes, scaled=run.graph.scaled)
    return replace(run, backbone=backbone, graph=graph)


def leave_out_the_guard() -> None:
    """Let the trainer of this process check neither loss nor gradient."""
    from arcface_mx.train import loop

    class NoGuard(loop.Guard):
        def queue_check(self, complete: bool) -> None:
            pass

        def check_finite(self, *arguments: Any) -> bool:
            return True

    loop.Guard = NoGuard  # type: ignore[misc]


def measure_reader(config: Dict[str, Any], steps: int, repetitions: int) -> Dict[str, Any]:
    """Return the images per second of the reader alone."""
    from arcface_mx.bench.steps import read_batches

    rates = []
    for _ in range(1 + repetitions):
        start = time.perf_counter()
        images = read_batches(config["data"], config["batch_size"], steps)
        rates.append(images / (time.perf_counter() - start))
    return {"rates": rates[1:]}


def main(text: str) -> int:
    """Run one case; its settings are JSON."""
    from arcface_mx.util.errors import UserError

    settings = json.loads(text)
    measure = {"steps": measure_steps, "reader": measure_reader}[settings.pop("what")]
    try:
        print(json.dumps(measure(**settings)))
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
