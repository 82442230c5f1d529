"""Time and memory of the classifier alone, split by class over CPU contexts (see recipes/results/centres.json).

Run: OMP_NUM_THREADS=1 python recipes/bench/centres.py --classes 10572,85742 --contexts 1,2,4 --batch-size 16
"""

from __future__ import annotations

import argparse
import dataclasses
from typing import Any, Callable, Dict

import numpy as np
from cases import Case, run_cases

from arcface_mx.config import from_flat
from arcface_mx.losses import ArcFace
from arcface_mx.parallel.centre_module import CentreParallelModule
from arcface_mx.planning.plan import make_plan
from arcface_mx.planning.workload import Workload
from arcface_mx.util.files import write_json
from arcface_mx.util.tables import markdown_table

HEADER = ["classes", "contexts", "s per step", "ratio", "peak MB", "MB per context", "planned MB per context"]


def setup(classes: int, contexts: int, batch_size: int, embedding_size: int, sample_rate: float) -> Callable[[], int]:
    """A training step of ArcFace on random embeddings."""
    import mxnet as mx

    embedding = mx.sym.FullyConnected(mx.sym.Variable("data"), num_hidden=embedding_size, name="fc1")
    devices = [mx.cpu(number) for number in range(contexts)]
    module = CentreParallelModule(embedding, ArcFace(sample_rate=sample_rate), classes, devices)
    module.bind([("data", (batch_size, 16))], [("label", (batch_size,))])
    module.init_params(mx.init.Xavier())
    module.init_optimizer("device", "sgd", {"learning_rate": 0.1, "momentum": 0.9, "wd": 5e-4})
    random = np.random.RandomState(0)

    def step() -> int:
        labels = mx.nd.array(random.randint(0, classes, batch_size), dtype="int32")
        module.forward_backward(mx.io.DataBatch([mx.nd.array(random.normal(size=(batch_size, 16)))], [labels]))
        module.update()
        mx.nd.waitall()
        return 1

    return step


def planned_mb(classes: int, contexts: int, batch_size: int, embedding_size: int, sample_rate: float) -> float:
    """What `arcface-mx plan` says of the classifier on one context."""
    devices = ",".join(f"cpu({number})" for number in range(contexts))
    values: Dict[str, Any] = {"devices": devices, "parallel": "centres"}
    values.update(batch_size=batch_size, embedding_size=embedding_size, sample_rate=sample_rate)
    values.update(network="iresnet18", width=0.05, image_size=32)
    parts = make_plan(Workload.of(from_flat(values)), classes, 1 << 50).parts
    return sum(size for name, size in parts.items() if "centres" in name or name == "gathered embeddings") / 1e6


def main(arguments: Any = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--classes", default="10572,85742", help="numbers of classes (default: %(default)s)")
    parser.add_argument("--contexts", default="1,2,4", help="numbers of CPU contexts (default: %(default)s)")
    parser.add_argument("--batch-size", type=int, default=128, help="images per step (default: %(default)s)")
    parser.add_argument("--embedding-size", type=int, default=512, help="embedding size (default: %(default)s)")
    parser.add_argument("--sample-rate", type=float, default=1.0, help="share of the centres (default: %(default)s)")
    parser.add_argument("--repetitions", type=int, default=5, help="steps after the first (default: %(default)s)")
    parser.add_argument("--json", help="also write the results to this file")
    args = parser.parse_args(arguments)
    rows, results = [HEADER], []
    for classes in map(int, args.classes.split(",")):
        shape = dict(batch_size=args.batch_size, embedding_size=args.embedding_size, sample_rate=args.sample_rate)
        shapes = [dict(shape, classes=classes, contexts=int(number)) for number in args.contexts.split(",")]
        timings, _ = run_cases([Case(str(shape["contexts"]), setup, shape) for shape in shapes], args.repetitions)
        for shape, timing in zip(shapes, timings):
            contexts, memory, planned = shape["contexts"], timing.peak_mb or 0.0, planned_mb(**shape)
            rows.append([str(classes), str(contexts), f"{1 / timing.median:.3f}", f"{1 / timing.ratio:.2f}"])
            rows[-1] += [f"{value:.0f}" for value in (memory, memory / contexts, planned)]
            results.append(dict(shape, planned_mb=planned, **dataclasses.asdict(timing)))
    print(markdown_table(rows))
    if args.json:
        write_json(args.json, results)


if __name__ == "__main__":
    main()
