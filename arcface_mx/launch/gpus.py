"""Which GPU each worker uses, and whether the machines have them. Asked before anything starts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from typing import Any, Dict, List, Optional, Sequence

from arcface_mx.launch.hosts import ssh_command
from arcface_mx.launch.rendezvous import NO_NCCL
from arcface_mx.util.devices import device_names, no_such_gpu
from arcface_mx.util.errors import UserError

PROBE = ("-m", "arcface_mx.launch.probe")
PROBE_TIMEOUT = 180.0  # seconds; the first use of a driver takes some
# What InsightFace's trainer for one process a GPU sets: send after 0.1 ms or 64 MB. Not measured here.
HOROVOD_VARIABLES = {"HOROVOD_CYCLE_TIME": "0.1", "HOROVOD_FUSION_THRESHOLD": str(64 << 20)}


def assign_gpus(hosts: Sequence[Optional[str]], devices: str, engine: str, ssh: str = "ssh") -> List[Dict[str, str]]:
    """Return the variables that give each worker its GPU.

    With the device "gpu", the worker with local rank k on its host sees the k-th GPU only. Any other
    list of devices means the same for each worker, so "gpu(0)" lets workers share a GPU.

    Parameters
    ----------
    hosts : sequence of str or None
        The host of each worker; None is this machine.
    devices : str
        Devices of the training.
    engine : str
        "ps" or "horovod".
    ssh : str
        Command that runs a line on a host.

    Raises
    ------
    UserError
        If a machine has too few GPUs, or Horovod cannot work with GPUs.
    """
    names = device_names(devices)
    if names[0][0] != "gpu":
        return [{} for _ in hosts]
    found = {host: ask(host, ssh) for host in dict.fromkeys(hosts)}
    for host, workers in Counter(hosts).items():
        place = f" on {host}" if host else ""
        highest = max(number for _, number in names)
        if highest >= found[host]["gpus"]:
            raise UserError("--devices: " + no_such_gpu(highest, found[host]["gpus"], found[host]["cuda_build"], place))
        if has_own_gpus(devices):
            check_count(workers, found[host]["gpus"], place)
        if engine == "horovod" and not found[host]["nccl"]:
            raise UserError(f"--devices {devices}{place}: {NO_NCCL}")
    common = {name: value for name, value in HOROVOD_VARIABLES.items() if name not in os.environ}
    result: List[Dict[str, str]] = []
    for rank, host in enumerate(hosts):
        own = visible(found[host], hosts[:rank].count(host)) if has_own_gpus(devices) else {}
        result.append({**(common if engine == "horovod" else {}), **own})
    return result


def has_own_gpus(devices: str) -> bool:
    """Whether each worker has a GPU of its own: the list is "gpu", without a number."""
    return devices.strip() == "gpu"


def check_count(workers: int, gpus: int, place: str = "") -> None:
    """Raise UserError if several workers on one machine do not have a GPU each."""
    if workers > gpus:
        raise UserError(
            f"{workers} workers{place} need {workers} GPUs, and MXNet sees {gpus} there. Start fewer workers, or name "
            "the GPU that they share: --devices 'gpu(0)'"
        )


def visible(machine: Dict[str, Any], local_rank: int) -> Dict[str, str]:
    """Return the variable that shows one GPU of a machine to a worker, as its gpu(0)."""
    known = machine["visible"]
    gpus = known.split(",") if known else [str(number) for number in range(machine["gpus"])]
    return {"CUDA_VISIBLE_DEVICES": gpus[local_rank].strip()}


def ask(host: Optional[str], ssh: str = "ssh") -> Dict[str, Any]:
    """Return what `probe` finds on a host, or on this machine if it is None."""
    command = [sys.executable, *PROBE] if host is None else ssh_command(ssh, host, PROBE, {}, terminal=False)
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PROBE_TIMEOUT, stdin=subprocess.DEVNULL)
        result: Dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    except (OSError, ValueError, IndexError, subprocess.TimeoutExpired):
        place = host or "this machine"
        raise UserError(f"cannot ask {place} for its GPUs; this command should print a line: {' '.join(command)}")
    return result
