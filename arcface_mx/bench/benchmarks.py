"""The benchmarks by name: what `arcface-mx bench` runs."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any, Callable, Dict, List, NamedTuple, Tuple

from arcface_mx.bench import embed, head, reader, step, verify
from arcface_mx.bench.cases import Case, run_cases
from arcface_mx.bench.head import PEAK
from arcface_mx.bench.results import origin, report, table
from arcface_mx.util.errors import UserError


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
        name,
        dict(used, repetitions=repetitions),
        unit=benchmark.unit,
        timings=[dataclasses.asdict(timing) for timing in timings],
        failures=failures,
    )
    parts = [table([timing for timing in timings if timing.name != PEAK], benchmark.unit)]
    parts += [f"{PEAK}: {timing.gflops:.0f} GFLOP/s" for timing in timings if timing.name == PEAK]
    parts += [f"Left out: {reason}" for reason in failures]
    return "\n\n".join([*parts, origin(results)]), results
