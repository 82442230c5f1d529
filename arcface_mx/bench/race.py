"""Contestants in processes of their own: own threads, own environment, own interpreter, own memory."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Sequence

from arcface_mx.bench import products, worker
from arcface_mx.bench.timing import Sample, Timing, rounds, summarise
from arcface_mx.util.errors import UserError


@dataclass(frozen=True)
class Contestant:
    """`module` has `setup(**arguments)`: a function that does the work once and returns its number of items.

    module: a name, or the path of a file for an interpreter that has no arcface_mx. It names as
    ENGINE the library whose import is no part of its memory. gflop: floating point work an item,
    in 1e9 operations.
    """

    name: str
    module: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    python: str = sys.executable
    gflop: float = 0.0


PEAK = "square product (peak)"
PAUSE = 0.3  # seconds before each turn: threads of the one before, ONNX Runtime's above all, spin for a while
SHORT = 0.5  # seconds; what takes less runs once untimed after the pause


def peak() -> Contestant:
    """What the machine can do, to be named as `race`'s peak."""
    return Contestant(PEAK, products.__name__, {"kind": "peak"}, gflop=products.PEAK_GFLOP)


def race(contestants: Sequence[Contestant], repetitions: int, peak: str = "") -> List[Timing]:
    """Start all, one warm-up each, then `repetitions` rounds in turn. The first one is the baseline.

    peak: name of the contestant whose GFLOP/s count as the machine's. Raises UserError where a
    contestant does not start or stops.
    """
    with contextlib.ExitStack() as stack:
        running = {one.name: stack.enter_context(_Process(one)) for one in contestants}
        samples = rounds(running, lambda process: process.sample(), repetitions)  # type: ignore[arg-type]
        memory = {name: process.peak_mb() for name, process in running.items()}
    return summarise(samples, {one.name: one.gflop for one in contestants}, peak, memory)


class _Process:
    """A running worker (worker.py has the protocol)."""

    def __init__(self, contestant: Contestant) -> None:
        self._name, self._seconds = contestant.name, 0.0
        self._process = subprocess.Popen(
            [contestant.python, worker.__file__, contestant.module, json.dumps(dict(contestant.arguments))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            universal_newlines=True,
            env=dict(os.environ, **contestant.environment),
        )

    def __enter__(self) -> _Process:
        self._read()
        return self

    def __exit__(self, *error: Any) -> None:
        with contextlib.suppress(OSError):
            self._process.stdin.close()  # type: ignore[union-attr]
        self._process.wait()
        self._process.stdout.close()  # type: ignore[union-attr]

    def sample(self) -> Sample:
        time.sleep(PAUSE)
        if self._seconds < SHORT:
            self._ask("run")  # wakes the cores
        sample = Sample(**self._ask("run"))
        self._seconds = sample.seconds
        return sample

    def peak_mb(self) -> float:
        return float(self._ask("memory")["peak_mb"])

    def _ask(self, word: str) -> Dict[str, Any]:
        try:
            self._process.stdin.write(word + "\n")  # type: ignore[union-attr]
            self._process.stdin.flush()  # type: ignore[union-attr]
        except OSError:
            pass  # the answer's absence says it
        return self._read()

    def _read(self) -> Dict[str, Any]:
        line = self._process.stdout.readline()  # type: ignore[union-attr]
        if not line:
            raise UserError(
                f"bench: {self._name} ended with exit code {self._process.wait()}; its own message stands above"
            )
        return json.loads(line)
