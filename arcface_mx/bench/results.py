"""The results of a benchmark: a Markdown table, and JSON with what produced them."""

from __future__ import annotations

import datetime
import os
import platform
import sys
from typing import Any, Dict, List, Mapping, Optional, Sequence

from arcface_mx.bench.timing import Timing
from arcface_mx.train.folder import commit, processor
from arcface_mx.util.environment import available_cores
from arcface_mx.util.tables import markdown_table

HEADER = ("", "lowest to highest", "×", "CPU ms each", "CPU ×", "GFLOP/s", "of peak", "MB", "input wait")


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


def report(name: str, settings: Mapping[str, Any], **results: Any) -> Dict[str, Any]:
    """What a JSON file holds: results, settings, command, commit ("+" if files differ from it), date, machine."""
    words = [f"--{key.replace('_', '-')} {os.path.basename(str(value))}" for key, value in settings.items() if value]
    return {
        "command": " ".join(["arcface-mx bench", *filter(None, [name]), *words]),
        "commit": commit(),
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": machine(),
        "settings": dict(settings),
        **results,
    }


def machine() -> Dict[str, Any]:
    """What a figure depends on beside the command: processor, cores, threads, load and versions."""
    import mxnet as mx

    return {
        "processor": processor(),
        "cores": available_cores(),
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", ""),
        "load_average": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
        "mxnet": mx.__version__,
        "system": sys.platform,
    }


def origin(report: Mapping[str, Any]) -> str:
    """The command, commit, date and machine of a report."""
    commit, machine = report["commit"] or "unknown", report["machine"]
    return (
        f"`{report['command']}`\n"
        f"Commit {commit[:7]}{'+' if commit.endswith('+') else ''}, {report['date']}, {machine['processor']}, "
        f"{machine['cores']} cores, {machine['OMP_NUM_THREADS']} threads, load average {machine['load_average']} at "
        f"the end, MXNet {machine['mxnet']}, Python {machine['python']}."
    )
