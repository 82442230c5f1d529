"""Where the values of a table come from, as the run folders say."""

from __future__ import annotations

import os
from typing import Any, Dict, Sequence

from arcface_mx.train.folder import read_environment


def describe(runs: Sequence[str]) -> str:
    """A Markdown list of the number of runs, dates, commits, machines, versions and training sets."""
    environments = [read_environment(run) for run in runs]

    def values(key: str) -> str:
        return ", ".join(sorted({str(environment.get(key, "unknown")) for environment in environments}))

    commits = sorted({_short(environment.get("commit")) for environment in environments})
    lines = [
        f"runs: {len(runs)}",
        f"dates: {values('date')}",
        f"commits: {', '.join(commits)}",
        f"machine: {values('processor')}; threads per run: {values('threads')}; devices: {values('devices')}",
        f"Python {values('python')}, MXNet {values('mxnet')}, NumPy {values('numpy')}, OpenCV {values('opencv')}",
        f"trained on (fingerprint): {', '.join(sorted(set(map(_training_set, environments))))}",
    ]
    return "\n".join("- " + line for line in lines)


def _training_set(environment: Dict[str, Any]) -> str:
    data = environment.get("data", {})
    return f"{os.path.basename(str(data.get('folder')))} ({_short(data.get('fingerprint'))})"


def _short(text: Any) -> str:
    return str(text)[:7] if text else "unknown"
