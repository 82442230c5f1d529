"""Rates and ratios from repetitions that were taken in turn, so that all cases see the same drift of the machine."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Dict, List, Optional, Sequence


@dataclass(frozen=True)
class Sample:
    """One repetition: seconds on the clock, processor seconds of the process, items that were
    processed, and seconds spent waiting for input (None without input)."""

    seconds: float
    cpu: float
    items: int
    waited: Optional[float] = None


@dataclass(frozen=True)
class Timing:
    """What was measured of a case; ratios are to the baseline."""

    name: str
    rates: List[float]  # items per second of each repetition
    median: float
    ratio: float  # median over the repetitions
    cpu: float  # processor seconds per item
    cpu_ratio: float  # the baseline's processor seconds divided by these
    gflops: Optional[float] = None  # 1e9 floating-point operations per second
    peak_share: Optional[float] = None  # of the fastest matrix product
    peak_mb: Optional[float] = None  # largest resident memory, without the libraries
    waiting: Optional[float] = None  # share of the time spent waiting for input


def summarise(
    samples: Dict[str, List[Sample]], gflop: Dict[str, float], memory: Dict[str, float], peak: str = ""
) -> List[Timing]:
    """Summarise the samples of all cases; the first case is the baseline.

    gflop: work per item, in 1e9 operations; memory: peak in MB; both by the name of a case. peak: the
    case whose operations per second are the machine's peak.
    """
    rates = {name: [sample.items / sample.seconds for sample in taken] for name, taken in samples.items()}
    costs = {name: [sample.cpu / sample.items for sample in taken] for name, taken in samples.items()}
    gflops = {name: gflop.get(name, 0.0) * statistics.median(rates[name]) for name in samples}
    baseline = next(iter(samples))
    return [
        Timing(
            name,
            rates[name],
            statistics.median(rates[name]),
            _ratio(rates[name], rates[baseline]),
            statistics.median(costs[name]),
            _ratio(costs[baseline], costs[name]),
            gflops[name] or None,
            gflops[name] / gflops[peak] if gflops[name] and gflops.get(peak) else None,
            memory.get(name),
            _waiting(samples[name]),
        )
        for name in samples
    ]


def _ratio(values: Sequence[float], others: Sequence[float]) -> float:
    return statistics.median(value / other if other else float("nan") for value, other in zip(values, others))


def _waiting(samples: Sequence[Sample]) -> Optional[float]:
    shares = [sample.waited / sample.seconds for sample in samples if sample.waited is not None]
    return statistics.median(shares) if shares else None
