"""The run folder: configuration, environment, and whether a run may go on in it."""

from __future__ import annotations

import datetime
import json
import os
import subprocess
import sys
from typing import Any, Dict, List, Optional

from arcface_mx import __version__
from arcface_mx.config import TrainConfig, differences, flag_name, from_json, to_json
from arcface_mx.errors import UserError
from arcface_mx.files import write_json

CONFIG, ENVIRONMENT, METRICS, BASELINES = "config.json", "environment.json", "metrics.json", "baselines.json"


def read_config(run: str) -> TrainConfig:
    """The configuration that a run folder was made with; UserError where there is none."""
    return from_json(_read_json(os.path.join(run, CONFIG), "is %s a run folder?" % run), os.path.join(run, CONFIG))


def read_metrics(run: str) -> Optional[Dict[str, Any]]:
    """metrics.json of a finished run, None where the run has not ended."""
    path = os.path.join(run, METRICS)
    return _read_json(path, "") if os.path.exists(path) else None


def read_data_fingerprint(run: str) -> str:
    """Fingerprint of the images that a run was trained on."""
    path = os.path.join(run, ENVIRONMENT)
    return str(_read_json(path, "is %s a run folder?" % run).get("data", {}).get("fingerprint"))


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
        with open(path, encoding="utf-8") as stream:
            value = json.load(stream)
    except FileNotFoundError:
        raise UserError("%s: no such file; %s" % (path, hint))
    except (OSError, ValueError) as error:
        raise UserError("%s: cannot be read as JSON (%s)" % (path, error))
    if not isinstance(value, kind):
        raise UserError("%s: holds %s, expected %s" % (path, type(value).__name__, kind.__name__))
    return value


def check(config: TrainConfig) -> None:
    """Raise UserError where --run is there already and is no run of this configuration."""
    run = config.run.run
    if os.path.exists(os.path.join(run, CONFIG)):
        differing = differences(read_config(run), config, of_result=True)
        if differing:
            text = "; ".join("%s was %r, now %r" % (flag_name(k), v[0], v[1]) for k, v in sorted(differing.items()))
            raise UserError("%s: holds a run with another configuration (%s). Give another --run, or delete it." % (run, text))
    elif os.path.isdir(run) and os.listdir(run):
        raise UserError("%s: is not empty and is not a run folder; give another --run" % run)


def claim(config: TrainConfig) -> None:
    """Make the run folder with its config.json, unless it is there; `check` comes first."""
    path = os.path.join(config.run.run, CONFIG)
    if not os.path.exists(path):
        write_json(path, to_json(config))


def write_environment(config: TrainConfig, data: Dict[str, Any]) -> None:
    """What, beside the configuration, the numbers depend on: versions, threads, machine, data."""
    import cv2
    import mxnet
    import numpy

    value = {
        "arcface_mx": __version__,
        "commit": commit(),
        "command": sys.argv,
        "date": datetime.date.today().isoformat(),
        "python": sys.version.split()[0],
        "mxnet": mxnet.__version__,
        "numpy": numpy.__version__,
        "opencv": cv2.__version__,
        "processor": _processor(),
        "threads": os.environ.get("OMP_NUM_THREADS"),
        "devices": config.run.devices,
        "data": data,
        "changes_results": "another processor, thread count, number of devices, MXNet or OpenCV version",
    }
    write_json(os.path.join(config.run.run, ENVIRONMENT), value)


def commit() -> Optional[str]:
    """The checkout's commit ("+" when files differ from it), None outside a checkout."""
    folder = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    try:
        name = subprocess.run(["git", "rev-parse", "HEAD"], cwd=folder, capture_output=True, text=True, check=True)
        state = subprocess.run(["git", "status", "--porcelain"], cwd=folder, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return name.stdout.strip() + ("+" if state.stdout.strip() else "")


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as stream:
            for line in stream:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    import platform

    return platform.processor()
