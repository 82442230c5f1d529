"""Rates and ratios from repetitions that were taken in turn, so that all cases see the same drift of the machine."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Dict, List, Optional, Sequence

from arcface_mx.util.tables import markdown_table

HEADER = ("", "lowest to highest", "×", "CPU ms each", "CPU ×", "GFLOP/s", "of peak", "MB", "input wait")


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


def table(timings: Sequence[Timing], unit: str) -> str:
    """Format timings; columns without any value are left out."""
    rows: List[List[str]] = [[HEADER[0], unit, *HEADER[1:]]]
    for timing in timings:
        rows.append(
            [
                timing.name,
                _short(timing.median),
                f"{_short(min(timing.rates))} to {_short(max(timing.rates))}",
                f"{timing.ratio:.2f}",
                _short(1e3 * timing.cpu),
                f"{timing.cpu_ratio:.2f}",
                _number(timing.gflops),
                _number(timing.peak_share, percent=True),
                _number(timing.peak_mb),
                _number(timing.waiting, percent=True),
            ]
        )
    columns = [column for column in range(len(rows[0])) if any(row[column] for row in rows[1:])]
    return markdown_table([[row[column] for column in columns] for row in rows])


def _short(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _number(value: Optional[float], percent: bool = False) -> str:
    if value is None:
        return ""
    return f"{100 * value:.0f} %" if percent else f"{value:.0f}"
