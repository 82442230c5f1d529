"""Run a probe in a process of its own, so that a crash or a hang of a device is a finding."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import Any, Dict, Mapping, Optional, Sequence

from arcface_mx.doctor.finding import Finding

PROBES = (sys.executable, "-m", "arcface_mx.doctor.probes")
TIMEOUT = 300.0  # seconds; at its first use, a GPU loads hundreds of megabytes of kernels
DEAD = "the driver or a library fails: look at the last lines of dmesg, and update the driver"
OTHER_DEVICE = "use other devices, or a machine with a card that the wheel has code for"


def run_child(command: Sequence[str], timeout: float, variables: Mapping[str, Optional[str]] = {}) -> Dict[str, Any]:
    """Run a command that prints a JSON object as its last line; return the object, or ``{"failed": reason}``.

    `variables` are changes of the environment; None removes a variable.
    """
    environment = {name: value for name, value in {**os.environ, **variables}.items() if value is not None}
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, env=environment)
    except subprocess.TimeoutExpired:
        return {"failed": f"no answer within {timeout:g} s: the CUDA build of MXNet has no code for this card"}
    if done.returncode < 0:
        return {"failed": f"ended by signal {-done.returncode} ({signal.Signals(-done.returncode).name})"}
    try:
        result = json.loads(done.stdout.strip().splitlines()[-1])
    except (IndexError, ValueError):
        result = None
    if done.returncode or not isinstance(result, dict):
        return {"failed": (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]}
    return result


def run_probe(
    name: str,
    device: str = "",
    subject: str = "",
    variables: Mapping[str, Optional[str]] = {},
    timeout: float = TIMEOUT,
    command: Sequence[str] = PROBES,
) -> Finding:
    """Return the finding of a probe of `probes.py`. A probe that dies or hangs is a finding too."""
    result = run_child([*command, name, device], timeout, variables)
    subject = subject or f"{device} {name}".strip()
    if "failed" in result:
        return Finding(subject, result["failed"], False, OTHER_DEVICE if "no answer" in result["failed"] else DEAD)
    return Finding(subject, result["text"], result["ok"], result["remedy"])
