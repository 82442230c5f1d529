"""The number of threads of a run: kept, given or measured; and a warning if the run becomes much slower."""

from __future__ import annotations

import dataclasses
import gc
import statistics
import time
from collections import deque
from typing import TYPE_CHECKING, Callable, Deque, Dict, List, Optional, Tuple

import numpy as np

from arcface_mx.train.module import batch_inputs, build_module, initialise, start_optimizer
from arcface_mx.util.environment import available_cores, given_threads, num_threads
from arcface_mx.util.threads import NOTICEABLE, OtherProcesses, describe, fastest, measure, set_threads

if TYPE_CHECKING:
    from arcface_mx.train.resolve import Run

MUCH_SLOWER = 3.0
STEPS_COMPARED = 10  # of both medians


def choose_threads(run: Run) -> Tuple[Run, str]:
    """Set the number of threads of a run before it computes anything.

    Parameters
    ----------
    run : Run

    Returns
    -------
    run : Run
        The same, with the number of threads in its record. A run on GPUs or of several workers has none there.
    text : str
        How many threads compute, and why.
    """
    if any(context.device_type != "cpu" for context in run.contexts):
        return run, ""
    recorded = run.folder.recorded_threads()
    if run.options.threads:
        count, why = run.options.threads, ", as given"
    elif given_threads():
        count, why = given_threads(), ", as OMP_NUM_THREADS says"
    elif recorded:
        count, why = min(recorded, available_cores()), ", as before the interruption"
    elif run.folder.exists or run.worker.size > 1 or not isinstance(run.worker.kvstore, str):
        count, why = num_threads(), ""
    elif available_cores() == 1:
        count, why = 1, ""
    else:
        others = OtherProcesses()
        times = _times(run)
        text = describe(times, others.cores(), "a step")
        set_threads(fastest(times), run.contexts)
        return _recorded(run, fastest(times)), text
    set_threads(count, run.contexts)
    return (_recorded(run, count) if run.worker.size == 1 else run), f"{count} of {available_cores()}{why}"


def _recorded(run: Run, count: int) -> Run:
    """Return the run with a number of threads in its record, which config.json becomes."""
    return dataclasses.replace(run, record={**run.record, "run": {**run.record["run"], "threads": count}})


def _times(run: Run) -> Dict[int, float]:
    """Return the seconds of a training step by number of threads."""
    step = _step_of_a_copy(run)
    times = measure(step, lambda count: set_threads(count, run.contexts))
    del step
    gc.collect()  # the copy must not take memory beside the run itself
    return times


def _step_of_a_copy(run: Run) -> Callable[[], None]:
    """Return a function that does a training step on random images, with a module that the run does not use."""
    import mxnet as mx

    module = build_module(run)
    initialise(module, run.options.seed, {}, {})
    start_optimizer(module, run)
    # Whole tuples of images of an identity, for losses on tuples.
    labels = np.arange(run.batch_size) // max(1, run.images_per_identity) % run.index.num_classes
    pixels = np.random.RandomState(0).randint(0, 256, (run.batch_size, *run.backbone.input_shape))
    batch = batch_inputs(run, module, mx.nd.array(pixels), labels, 0)

    def step() -> None:
        module.forward_backward(batch)
        module.update()
        mx.nd.waitall()

    return step


class SlowdownDetector:
    """Names a run whose steps have become much slower than its first ones, once.

    Parameters
    ----------
    threads : int
        Threads that fewer could replace; 0 where their number cannot be changed.
    others : callable, optional
        Returns how many cores other processes have used since the last call, None if nobody knows.
    """

    def __init__(self, threads: int = 0, others: Optional[Callable[[], Optional[float]]] = None) -> None:
        self._threads, self._others = threads, others or OtherProcesses().cores
        self._first: List[float] = []
        self._last: Deque[float] = deque(maxlen=STEPS_COMPARED)
        self._began, self._skip, self._done = 0.0, 1, False  # the first step also prepares the devices

    def start(self) -> None:
        """Start the clock at the beginning of a step."""
        self._began = time.perf_counter()

    def stop(self) -> None:
        """Add the time of a step at its end. Verification and checkpoint do not count."""
        self.add(time.perf_counter() - self._began)

    def add(self, seconds: float) -> None:
        """Add the time of a step."""
        if self._skip:
            self._skip -= 1
        elif len(self._first) < STEPS_COMPARED:
            self._first.append(seconds)
        else:
            self._last.append(seconds)

    def look(self, input_wait: float = 0.0) -> str:
        """Return a warning for a log line, or an empty text. `input_wait` is the share of time waiting for images."""
        others = self._others()
        if self._done or len(self._last) < STEPS_COMPARED:
            return ""
        factor = statistics.median(self._last) / max(1e-9, statistics.median(self._first))
        if factor < MUCH_SLOWER:
            return ""
        self._done = True
        text = f"the run is {factor:.1f} times slower than it began"
        if others is None or others < NOTICEABLE:
            return (
                f"{text}, and no other process uses the processor: {100 * input_wait:.0f} % of the time is waiting for "
                "images; otherwise look for a lack of memory, or a processor that is too hot"
            )
        text += ": other processes use this machine"
        if self._threads > 1:
            return (
                f"{text}. Stop it with Ctrl-C and give the same command with `threads` 1: several threads wait for one "
                "another on busy cores. The result can then differ in its last digits"
            )
        return f"{text}. It goes on faster when they have ended"
