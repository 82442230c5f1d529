"""Figures of a measurement as lines for people and as JSON with what made them."""

from __future__ import annotations

import datetime
import os
import platform
import sys
from typing import Any, Dict, List, Sequence

from arcface_mx.bench.timing import Timing
from arcface_mx.train.folder import commit, processor


def lines(timings: Sequence[Timing], unit: str) -> List[str]:
    """A Markdown table; ratios are to its first row."""
    columns = ["", unit, "lowest to highest", "×", "CPU ms each", "CPU ×", "GFLOP/s", "of peak", "MB"]
    waits = any(one.waiting is not None for one in timings)
    columns += ["input wait"] if waits else []
    rows = [f"| {' | '.join(columns)} |", "|---|" + "---:|" * (len(columns) - 1)]
    for one in timings:
        rows.append(
            "| {} | {} | {} to {} | {:.2f} | {} | {:.2f} | {} | {} | {} |".format(
                one.name,
                _short(one.median),
                _short(min(one.rates)),
                _short(max(one.rates)),
                one.ratio,
                _short(1e3 * one.cpu),
                one.cpu_ratio,
                f"{one.gflops:.0f}" if one.gflops else "",
                f"{100 * one.peak_share:.0f} %" if one.peak_share else "",
                f"{one.peak_mb:.0f}" if one.peak_mb is not None else "",
            )
            + (f" {('%.0f %%' % (100 * one.waiting) if one.waiting is not None else '')} |" if waits else "")
        )
    return rows


def report(command: str, settings: Dict[str, Any], **figures: Any) -> Dict[str, Any]:
    """What goes into a JSON file: the figures, the command, commit ("+": files differ from it), date and machine."""
    return {
        "command": command,
        "commit": commit(),
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": machine(),
        "settings": settings,
        **figures,
    }


def origin(report: Dict[str, Any]) -> List[str]:
    """The command, date and machine of a report, as the table's last lines."""
    where = report["machine"]
    return [
        "",
        f"`{report['command']}`",
        "Commit %s, %s, %s, %d cores, %s threads, load average %s at the end, MXNet %s, Python %s."
        % (
            (report["commit"] or "unknown")[:7] + ("+" if (report["commit"] or "").endswith("+") else ""),
            report["date"],
            where["processor"],
            where["cores"],
            where["OMP_NUM_THREADS"],
            where["load_average"],
            where["mxnet"],
            where["python"],
        ),
    ]


def command(what: str, settings: Dict[str, Any]) -> str:
    """The command line that measures this again; folders by their last name."""
    words = [f"--{name.replace('_', '-')} {os.path.basename(str(value))}" for name, value in settings.items() if value]
    return " ".join(["arcface-mx bench", what, *words])


def machine() -> Dict[str, Any]:
    """Processor, cores, threads, load, versions."""
    import mxnet as mx

    from arcface_mx.util.environment import available_cores

    return {
        "processor": processor(),
        "cores": available_cores(),
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", ""),
        "load_average": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
        "mxnet": mx.__version__,
        "system": sys.platform,
    }


def _short(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
