"""What a file with results of a benchmark states beside them: command, commit, date and machine."""

from __future__ import annotations

import datetime
import os
import platform
import sys
from typing import Any, Dict, Mapping

from arcface_mx.train.folder import commit, processor
from arcface_mx.util.environment import available_cores


def report(command: str, settings: Mapping[str, Any], **results: Any) -> Dict[str, Any]:
    """What a JSON file holds: results, settings, command, commit ("+" if files differ from it), date, machine."""
    words = [f"--{key.replace('_', '-')} {os.path.basename(str(value))}" for key, value in settings.items() if value]
    return {
        "command": " ".join([command, *words]),
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
