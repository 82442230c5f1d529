"""Interleaved repetitions: a machine whose speed drifts treats all contestants alike."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from typing import Callable, Dict, List


@dataclass(frozen=True)
class Timing:
    """One contestant: items a second of every repetition, their median, its ratio to the baseline's."""

    name: str
    rates: List[float]
    median: float
    ratio: float


def compare(contestants: Dict[str, Callable[[], int]], repetitions: int) -> List[Timing]:
    """Run each function `repetitions` times in turn, after one warm-up; it returns its number of items.

    The first one is the baseline of `ratio`, the median of the ratios of each round.
    """
    rates: Dict[str, List[float]] = {name: [] for name in contestants}
    for repetition in range(repetitions + 1):
        for name, function in contestants.items():
            start = time.perf_counter()
            items = function()
            rate = items / (time.perf_counter() - start)
            if repetition:
                rates[name].append(rate)
    baseline = rates[next(iter(contestants))]
    return [
        Timing(
            name,
            values,
            statistics.median(values),
            statistics.median(value / base for value, base in zip(values, baseline)),
        )
        for name, values in rates.items()
    ]
