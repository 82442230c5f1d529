"""Parts of arcface-mx compared with a baseline on this machine, in turn.

    python recipes/bench/compare.py head --classes 85742
    python recipes/bench/compare.py step --data faces --network iresnet50

input     reading training images; baseline: a Python loop with MXNet's functions
head      the margin head, forward, backward and with the update of W; baseline: its three matrix products
step      a whole training step, and its share of waiting for input; baseline: without a reader
embed     embedding, by each engine; baseline: the graph as it was trained, in MXNet
verify    metrics of 6,000 pairs; baseline: InsightFace's 400 thresholds in ten folds

Each case runs in a process of its own, in turn with the others, after one repetition to warm up. Ratios (×) are
medians over the repetitions. "CPU" columns count processor time, which other work on the machine distorts little.
"""

from __future__ import annotations

import argparse
import dataclasses
import inspect
from typing import Any, Callable, Dict, List, NamedTuple, Tuple

import embed
import head
import reader
import step
import verify
from cases import Case, run_cases
from head import PEAK
from timing import table

from arcface_mx.bench.networks import NETWORKS
from arcface_mx.bench.results import origin, report
from arcface_mx.flags import flags_in
from arcface_mx.util.errors import UserError
from arcface_mx.util.files import write_json


class Benchmark(NamedTuple):
    """The unit of its rates, and a function that returns its cases, the baseline first."""

    unit: str
    cases: Callable[..., List[Case]]


BENCHMARKS = {
    "input": Benchmark("images/s", reader.cases),
    "head": Benchmark("steps/s", head.cases),
    "step": Benchmark("images/s", step.cases),
    "embed": Benchmark("images/s", embed.cases),
    "verify": Benchmark("sets/s", verify.cases),
}


def measure(name: str, settings: Dict[str, Any], repetitions: int = 5) -> Tuple[str, Dict[str, Any]]:
    """Run a benchmark; returns a table with its origin, and the same for a JSON file.

    settings: by name; a benchmark uses those that are parameters of its `cases`. Raises UserError if
    a setting makes no sense or the baseline cannot run.
    """
    benchmark = BENCHMARKS[name]
    used = {key: settings[key] for key in inspect.signature(benchmark.cases).parameters if key in settings}
    for key, value in dict(used, repetitions=repetitions).items():
        smallest = 0 if key == "images" else 1
        if isinstance(value, int) and value < smallest:
            raise UserError(f"`{key}` must be at least {smallest}, got {value}")
    timings, failures = run_cases(benchmark.cases(**used), repetitions, PEAK)
    results = report(
        f"python recipes/bench/compare.py {name}",
        dict(used, repetitions=repetitions),
        unit=benchmark.unit,
        timings=[dataclasses.asdict(timing) for timing in timings],
        failures=failures,
    )
    parts = [table([timing for timing in timings if timing.name != PEAK], benchmark.unit)]
    parts += [f"{PEAK}: {timing.gflops:.0f} GFLOP/s" for timing in timings if timing.name == PEAK]
    parts += [f"Left out: {reason}" for reason in failures]
    return "\n\n".join([*parts, origin(results)]), results


def main(arguments: Any = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=BENCHMARKS, help="what to measure")
    parser.add_argument("--data", default="", help="input, step: folder with train.rec")
    parser.add_argument("--images", type=int, default=0, help="input: images per repetition (0: an epoch)")
    parser.add_argument("--batch-size", type=int, help="images per batch (default: 128; step and embed: by network)")
    parser.add_argument("--classes", type=int, default=10572, help="head: classes (default: %(default)s)")
    parser.add_argument("--embedding-size", type=int, default=512, help="head: embedding size (default: %(default)s)")
    parser.add_argument("--network", choices=NETWORKS, default="recipe", help="step, embed (default: %(default)s)")
    parser.add_argument("--repetitions", type=int, default=5, help="repetitions (default: %(default)s)")
    parser.add_argument("--json", help="also write the results to this file")
    args = parser.parse_args(arguments)
    try:
        text, results = measure(args.what, vars(args), args.repetitions)
    except UserError as error:
        parser.error(flags_in(str(error)))
    print(text)
    if args.json:
        write_json(args.json, results)


if __name__ == "__main__":
    main()
