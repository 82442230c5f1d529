"""Where the figures of a table come from, read from the run folders."""

from __future__ import annotations

import os
from typing import Any, Dict, List, Sequence

from arcface_mx.train.folder import read_environment


def describe(runs: Sequence[str]) -> str:
    """A Markdown list: number of runs, dates, commits, machine, versions, training data."""
    environments = [read_environment(run) for run in runs]
    data = [
        f"{os.path.basename(str(e.get('data', {}).get('folder')))} ({_short(e.get('data', {}).get('fingerprint'))})"
        for e in environments
    ]
    lines = [
        f"runs: {len(runs)}",
        "dates: " + _values(environments, "date"),
        "commits: " + ", ".join(sorted({_short(e.get("commit")) for e in environments})),
        "machine: {}; threads a run: {}; devices: {}".format(
            *tuple(_values(environments, key) for key in ("processor", "threads", "devices"))
        ),
        "Python {}, MXNet {}, NumPy {}, OpenCV {}".format(
            *tuple(_values(environments, key) for key in ("python", "mxnet", "numpy", "opencv"))
        ),
        "trained on (fingerprint): " + ", ".join(sorted(set(data))),
    ]
    return "\n".join("- " + line for line in lines)


def _values(environments: List[Dict[str, Any]], key: str) -> str:
    return ", ".join(sorted({str(environment.get(key, "unknown")) for environment in environments}))


def _short(text: Any) -> str:
    return str(text)[:7] if text else "unknown"
