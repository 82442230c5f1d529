"""Interleaved repetitions: a machine whose speed drifts treats all contestants alike."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from typing import Callable, Dict, List, Optional, Sequence


@dataclass(frozen=True)
class Sample:
    """One repetition: seconds on the clock, processor seconds of the process, items done; seconds that it
    waited for input, None where it reads none."""

    seconds: float
    cpu: float
    items: int
    waited: Optional[float] = None


@dataclass(frozen=True)
class Timing:
    """One contestant: items a second of every repetition, their median, its ratio to the baseline's.

    cpu: processor seconds an item, median; cpu_ratio: the baseline's over it, which a machine that
    others use too leaves alone. gflops: achieved, of the clock; peak_share: of the fastest product
    measured in the same run. peak_mb: resident memory above the start, largest. waiting: share of the
    time spent waiting for input, median; None where there is none.
    """

    name: str
    rates: List[float]
    median: float
    ratio: float
    cpu: float
    cpu_ratio: float
    gflops: Optional[float] = None
    peak_share: Optional[float] = None
    peak_mb: Optional[float] = None
    waiting: Optional[float] = None


def measured(function: Callable[[], int]) -> Sample:
    """Run `function`, which returns its number of items."""
    cpu, start = time.process_time(), time.perf_counter()
    items = function()
    return Sample(time.perf_counter() - start, time.process_time() - cpu, items)


def compare(contestants: Dict[str, Callable[[], int]], repetitions: int) -> List[Timing]:
    """Run each function `repetitions` times in turn, after one warm-up; it returns its number of items.

    The first one is the baseline of `ratio`, the median of the ratios of each round.
    """
    return summarise(rounds(contestants, measured, repetitions))


def rounds(
    contestants: Dict[str, Callable[[], int]], run: Callable[..., Sample], repetitions: int
) -> Dict[str, List[Sample]]:
    """`repetitions` samples of each contestant, taken in turn, after one warm-up each."""
    samples: Dict[str, List[Sample]] = {name: [] for name in contestants}
    for repetition in range(repetitions + 1):
        for name, contestant in contestants.items():
            sample = run(contestant)
            if repetition:
                samples[name].append(sample)
    return samples


def summarise(
    samples: Dict[str, List[Sample]],
    gflop: Optional[Dict[str, float]] = None,
    peak: str = "",
    memory: Optional[Dict[str, float]] = None,
) -> List[Timing]:
    """Timings of all contestants; the first is the baseline.

    gflop: work an item, by name; peak: the name of the contestant whose rate is the machine's peak.
    """
    rates = {name: [sample.items / sample.seconds for sample in taken] for name, taken in samples.items()}
    costs = {name: [sample.cpu / sample.items for sample in taken] for name, taken in samples.items()}
    first = next(iter(samples))
    work = {name: (gflop or {}).get(name, 0.0) * statistics.median(rates[name]) for name in samples}
    return [
        Timing(
            name,
            rates[name],
            statistics.median(rates[name]),
            _ratio(rates[name], rates[first]),
            statistics.median(costs[name]),
            _ratio(costs[first], costs[name]),
            work[name] or None,
            work[name] / work[peak] if peak and work[name] else None,
            (memory or {}).get(name),
            _waiting(samples[name]),
        )
        for name in samples
    ]


def _ratio(values: Sequence[float], others: Sequence[float]) -> float:
    """Median of the rounds' ratios."""
    return statistics.median(value / other if other else float("nan") for value, other in zip(values, others))


def _waiting(samples: Sequence[Sample]) -> Optional[float]:
    shares = [sample.waited / sample.seconds for sample in samples if sample.waited is not None]
    return statistics.median(shares) if shares else None
