"""The run folder: configuration, environment, and whether a run may go on in it."""

from __future__ import annotations

import datetime
import os
import shlex
import subprocess
import sys
from typing import Any, Dict, List, Optional

from arcface_mx import __version__
from arcface_mx.config import TrainConfig, differences, flag_name, from_json, to_json
from arcface_mx.train import lock
from arcface_mx.util.errors import UserError
from arcface_mx.util.files import read_json, write_json

CONFIG, ENVIRONMENT, METRICS, BASELINES = "config.json", "environment.json", "metrics.json", "baselines.json"


def read_config(run: str) -> TrainConfig:
    """The configuration that a run folder was made with; UserError where there is none."""
    return from_json(_read_json(os.path.join(run, CONFIG), f"is {run} a run folder?"), os.path.join(run, CONFIG))


def read_metrics(run: str) -> Optional[Dict[str, Any]]:
    """metrics.json of a finished run, None where the run has not ended."""
    path = os.path.join(run, METRICS)
    return _read_json(path, "") if os.path.exists(path) else None


def read_data_fingerprint(run: str) -> str:
    """Fingerprint of the images that a run was trained on."""
    path = os.path.join(run, ENVIRONMENT)
    return str(_read_json(path, f"is {run} a run folder?").get("data", {}).get("fingerprint"))


def read_environment(run: str) -> Dict[str, Any]:
    """environment.json of a run; empty where there is none."""
    path = os.path.join(run, ENVIRONMENT)
    return _read_json(path, "") if os.path.exists(path) else {}


def read_baselines(run: str) -> List[Dict[str, Any]]:
    """What `arcface-mx baselines` left in a run folder: one result a method and set; none is no mistake."""
    path = os.path.join(run, BASELINES)
    return _read_json(path, "", list) if os.path.exists(path) else []


def _read_json(path: str, hint: str, kind: type = dict) -> Any:
    try:
        value = read_json(path)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; {hint}")
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as JSON ({error})")
    if not isinstance(value, kind):
        raise UserError(f"{path}: holds {type(value).__name__}, expected {kind.__name__}")
    return value


def check(config: TrainConfig) -> None:
    """Raise UserError where --run is there already and is no run of this configuration."""
    run = config.run.run
    if os.path.exists(os.path.join(run, CONFIG)):
        differing = differences(read_config(run), config, of_result=True)
        if differing:
            text = "; ".join(f"{flag_name(k)} was {v[0]!r}, now {v[1]!r}" for k, v in sorted(differing.items()))
            raise UserError(
                f"{run}: holds a run with another configuration ({text}). Give another --run, or delete it."
            )
    elif os.path.isdir(run) and any(name != lock.NAME and not _temporary(name) for name in os.listdir(run)):
        raise UserError(f"{run}: is not empty and is not a run folder; give another --run")


def _temporary(name: str) -> bool:
    """Whether it is what a process that was killed while it wrote one of this folder's files left."""
    return name.startswith(tuple("." + own for own in (CONFIG, ENVIRONMENT, METRICS, "model-")))


def tidy(run: str) -> None:
    """Remove what killed processes left half written. The caller holds the run's lock."""
    for name in os.listdir(run):
        if _temporary(name):
            os.unlink(os.path.join(run, name))


def exists(config: TrainConfig) -> bool:
    """Whether --run has been started before."""
    return os.path.exists(os.path.join(config.run.run, CONFIG))


def claim(config: TrainConfig, new: bool) -> None:
    """Write config.json of a `new` run; `check` comes first, and the caller holds the lock.

    Raises UserError where another process has started it since.
    """
    if new and exists(config):
        raise UserError(
            f"{config.run.run}: another process has started this run in the meantime; give another --run, or start again"
        )
    if new:
        write_json(os.path.join(config.run.run, CONFIG), to_json(config))


def check_data(config: TrainConfig, data: Dict[str, Any]) -> None:
    """Raise UserError where a run that was started before would go on with other data."""
    path = os.path.join(config.run.run, ENVIRONMENT)
    if os.path.exists(path):
        before = read_data_fingerprint(config.run.run)
        if before != data["fingerprint"]:
            raise UserError(
                "{}: the run was started on other images or labels than are in {} now (fingerprint {:.12}, now {:.12}); "
                "bring them back, or give another --run".format(
                    config.run.run, config.data.data, before, data["fingerprint"]
                )
            )


# Entries of environment.json on which the last bits of a result depend, beside config.json.
CHANGES_RESULTS = ("data", "devices", "mxnet", "opencv", "processor", "threads", "variables")


def write_environment(config: TrainConfig, data: Dict[str, Any]) -> List[str]:
    """What, beside the configuration, the numbers depend on: versions, threads, machine, data.

    On resume the first environment stays and what differs is appended to "resumed_with"; returned are
    warnings that say so.
    """
    path = os.path.join(config.run.run, ENVIRONMENT)
    now = environment(config, data)
    if not os.path.exists(path):
        write_json(path, now)
        return []
    before = _read_json(path, "")
    changed = {key: now[key] for key in CHANGES_RESULTS if key != "data" and before.get(key) != now[key]}
    if changed:
        write_json(path, dict(before, resumed_with=before.get("resumed_with", []) + [changed]))
    return [
        f"{key} was {before.get(key)!r} when the run began, is {value!r} now: the result can differ from an unbroken run's in its last digits"
        for key, value in changed.items()
    ]


def environment(config: TrainConfig, data: Dict[str, Any]) -> Dict[str, Any]:
    """The contents of environment.json."""
    import cv2
    import mxnet
    import numpy

    return {
        "arcface_mx": __version__,
        "commit": commit(),
        "command": sys.argv,
        "date": datetime.date.today().isoformat(),
        "python": sys.version.split()[0],
        "mxnet": mxnet.__version__,
        "numpy": numpy.__version__,
        "opencv": cv2.__version__,
        "processor": processor(),
        "threads": os.environ.get("OMP_NUM_THREADS"),
        "variables": {
            name: value
            for name, value in sorted(os.environ.items())
            if name.startswith(("MXNET_", "MKL", "DNNL_", "OPENBLAS_", "KMP_", "CUDA_", "CUDNN_"))
        },
        "devices": config.run.devices,
        "data": data,
        "changes_results": list(CHANGES_RESULTS),
    }


def commit() -> Optional[str]:
    """The checkout's commit ("+" when files differ from it), None outside a checkout."""
    folder = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    try:
        name = subprocess.run(["git", "rev-parse", "HEAD"], cwd=folder, capture_output=True, text=True, check=True)
        state = subprocess.run(["git", "status", "--porcelain"], cwd=folder, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return name.stdout.strip() + ("+" if state.stdout.strip() else "")


def command_line(environment: Dict[str, Any]) -> str:
    """The command that began the run, as a shell takes it; empty where it is not known."""
    command = environment.get("command") or []
    return shlex.join([os.path.basename(command[0]), *command[1:]]) if command else ""


def processor() -> str:
    """The processor's name."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as stream:
            for line in stream:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    import platform

    return platform.processor()
