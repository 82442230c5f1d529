"""Run the cases of a benchmark in turn, each in a process with its own threads and memory."""

from __future__ import annotations

import contextlib
import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, List, Mapping, Sequence, Tuple

from timing import Sample, Timing, summarise

from arcface_mx.util.errors import UserError

PAUSE = 0.3  # seconds before each turn; the threads of ONNX Runtime, for example, spin for a while after theirs
SHORT = 0.5  # seconds; a shorter repetition is run once untimed after the pause, which wakes the cores


@dataclass(frozen=True)
class Case:
    """One case of a benchmark.

    setup: a function at the top of a module. It is called once with `arguments`, in the process of the
    case, and returns a function that does the work once. That function returns the number of items,
    or (items, seconds spent waiting for input). gflop: work per item, in 1e9 operations.
    """

    name: str
    setup: Callable[..., Callable[[], Any]]
    arguments: Mapping[str, Any] = field(default_factory=dict)
    gflop: float = 0.0


def run_cases(cases: Sequence[Case], repetitions: int, peak: str = "") -> Tuple[List[Timing], List[str]]:
    """Start all cases, run each once to warm up, then run them in turn `repetitions` times.

    The first case is the baseline; peak: the name of the case that measures the machine's peak.
    Returns the timings and, for each case that could not start, why. Raises UserError if the baseline
    does not start or a case fails while it runs.
    """
    running: Dict[str, _Process] = {}
    failures: List[str] = []
    with contextlib.ExitStack() as stack:
        for case in cases:
            try:
                running[case.name] = stack.enter_context(contextlib.closing(_Process(case)))
            except UserError as error:
                if case is cases[0]:
                    raise
                failures.append(str(error))
        rounds = [{name: process.sample() for name, process in running.items()} for _ in range(repetitions + 1)]
        memory = {name: process.call(_peak_mb) for name, process in running.items()}
    samples = {name: [taken[name] for taken in rounds[1:]] for name in running}
    return summarise(samples, {case.name: case.gflop for case in cases}, memory, peak), failures


class _Process:
    """A process in which a case has been set up."""

    def __init__(self, case: Case) -> None:
        self._name, self._seconds = case.name, 0.0
        self._pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))
        self.call(_start, case.setup, dict(case.arguments))

    def close(self) -> None:
        self._pool.shutdown()

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function in the process."""
        try:
            return self._pool.submit(function, *arguments).result()
        except Exception as error:
            self.close()
            raise UserError(f"{self._name}: {type(error).__name__}: {error}") from error

    def sample(self) -> Sample:
        """Run the case once."""
        time.sleep(PAUSE)
        if self._seconds < SHORT:
            self.call(_run)
        sample: Sample = self.call(_run)
        self._seconds = sample.seconds
        return sample


_started: Dict[str, Any] = {}  # in the process of a case: what it runs, and its memory before


def _start(setup: Callable[..., Callable[[], Any]], arguments: Dict[str, Any]) -> None:
    import mxnet  # noqa: F401  the memory of a case does not include the libraries

    _started["memory"] = resident_mb("VmRSS")
    _started["run"] = setup(**arguments)


def _run() -> Sample:
    cpu, clock = time.process_time(), time.perf_counter()
    result = _started["run"]()
    seconds, cpu = time.perf_counter() - clock, time.process_time() - cpu
    return Sample(seconds, cpu, *(result if isinstance(result, tuple) else (result,)))


def _peak_mb() -> float:
    return resident_mb("VmHWM") - float(_started["memory"])


def resident_mb(field: str) -> float:
    """VmRSS (now) or VmHWM (largest so far) of this process, in MB."""
    with open("/proc/self/status") as stream:
        return next(int(line.split()[1]) / 1024.0 for line in stream if line.startswith(field))
