"""The run folder: configuration, environment, metrics, and whether a run may continue in it."""

from __future__ import annotations

import datetime
import os
import shlex
import subprocess
import sys
from typing import Any, Dict, List, Mapping, Optional, Tuple

from arcface_mx import __version__
from arcface_mx.config import TrainConfig, from_flat
from arcface_mx.config_file import read_settings
from arcface_mx.train import lock
from arcface_mx.util.errors import UserError
from arcface_mx.util.files import read_json, write_json
from arcface_mx.util.json_form import OrNull, check_form
from arcface_mx.verify.run_scores import RUN_SCORES

CONFIG, ENVIRONMENT, METRICS, BASELINES = "config.json", "environment.json", "metrics.json", "baselines.json"
TEMPLATES = "templates.json"
# Entries of environment.json on which the last bits of a result depend, beside config.json.
CHANGES_RESULTS = ("data", "devices", "mxnet", "opencv", "processor", "threads", "variables")

_RATES = {"accuracy": float, "std": float, "tar_at_far": {str: OrNull(float)}}
_RESULT = {"set": str, "method": str, "pairs?": int, "none": _RATES, "sum?": OrNull(_RATES)}
_ACCURACY = {"accuracy": float, "std?": float, "tar_at_far?": {str: OrNull(float)}}
_BEST = {"step": int, "mean_accuracy": float}
_FORMS = {
    METRICS: {"step?": int, "sets": {str: _RESULT}, "mean_accuracy?": float, "best_of_run?": _BEST},
    BASELINES: [_RESULT],
    TEMPLATES: {str: {"set": str, "pairs": int, "none?": OrNull(_ACCURACY), "sum?": OrNull(_ACCURACY)}},
    ENVIRONMENT: {
        "data?": {"fingerprint?": str, "folder?": str},
        "command?": OrNull([str]),
        "commit?": OrNull(str),
        "variables?": {str: str},
        "resumed_with?": [dict],
    },
}


def read_config(run: str) -> TrainConfig:
    """Return the configuration of a run folder. Raises UserError if there is none."""
    if os.path.isfile(run):
        kind = "an ONNX file" if run.lower().endswith(".onnx") else "a file"
        raise UserError(
            f"{run}: is {kind}, and this command needs a run folder, with its configuration and log; arcface-mx verify "
            "and arcface-mx report measure a model without them"
        )
    return read_config_file(os.path.join(run, CONFIG))


def read_config_file(path: str) -> TrainConfig:
    """Return the configuration in a file, as `read_settings` reads it. Raises UserError if there is none."""
    return from_flat(read_settings(path))


def read_metrics(run: str) -> Optional[Dict[str, Any]]:
    """Return metrics.json of a finished run, None if the run has not ended."""
    path = os.path.join(run, METRICS)
    return _read_json(path, METRICS) if os.path.exists(path) else None


def read_environment(run: str) -> Dict[str, Any]:
    """Return environment.json of a run, empty if there is none."""
    path = os.path.join(run, ENVIRONMENT)
    return _read_json(path, ENVIRONMENT) if os.path.exists(path) else {}


def read_data_fingerprint(run: str) -> str:
    """Return the fingerprint of the images that a run was trained on."""
    environment = _read_json(os.path.join(run, ENVIRONMENT), ENVIRONMENT, f"is {run} a run folder?")
    return str(environment.get("data", {}).get("fingerprint"))


def read_baselines(run: str) -> List[Dict[str, Any]]:
    """Return what `arcface-mx baselines` wrote into a run folder, one result a method and set."""
    path = os.path.join(run, BASELINES)
    return _read_json(path, BASELINES) if os.path.exists(path) else []


def read_template_results(run: str) -> Dict[str, Any]:
    """Return what `arcface-mx templates --record` wrote into a run folder, by the name of the protocol."""
    path = os.path.join(run, TEMPLATES)
    return _read_json(path, TEMPLATES) if os.path.exists(path) else {}


def record_template_result(run: str, name: str, flip: str, metrics: Dict[str, Any]) -> None:
    """Add the accuracy of a template protocol to a run folder, where `arcface-mx table` finds it."""
    results = read_template_results(run)
    pairs = metrics["num_same"] + metrics["num_different"]
    entry = results.get(name, {})
    if entry.get("pairs", pairs) != pairs:
        entry = {}
    results[name] = {**entry, "set": name, "pairs": pairs, flip: metrics}
    write_json(os.path.join(run, TEMPLATES), results)


def _read_json(path: str, name: str, hint: str = "") -> Any:
    """Read one of the folder's files, whose content must have the form of `name`."""
    form = _FORMS[name]
    kind = list if isinstance(form, list) else dict
    try:
        value = read_json(path)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; {hint}")
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as JSON ({error})")
    if not isinstance(value, kind):
        raise UserError(f"{path}: holds {type(value).__name__}, expected {kind.__name__}")
    try:
        check_form(value, form)
    except ValueError as error:
        raise UserError(f"{path}: {error}; the file is damaged, or another program wrote it") from None
    return value


class RunFolder:
    """The folder of a run that is about to start or to continue.

    Parameters
    ----------
    path : str
    """

    def __init__(self, path: str) -> None:
        self.path = path

    def file(self, name: str) -> str:
        """Return the path of a file in the folder."""
        return os.path.join(self.path, name)

    @property
    def exists(self) -> bool:
        """Whether a run was started in it before."""
        return os.path.exists(self.file(CONFIG))

    def stored_config(self) -> Optional[TrainConfig]:
        """Return the configuration of the run in it; None for a new run.

        Raises
        ------
        UserError
            If the folder holds something else than a run.
        """
        if self.exists:
            return read_config(self.path)
        if os.path.isdir(self.path) and any(
            name != lock.NAME and not _is_temporary(name) for name in os.listdir(self.path)
        ):
            raise UserError(f"{self.path}: is not empty and is not a run folder; give another `run`")
        return None

    def recorded_threads(self) -> int:
        """Return the number of threads that the run computed with last, 0 if there is no record of it."""
        environment = read_environment(self.path)
        for entry in [*environment.get("resumed_with", [])[::-1], environment]:
            if str(entry.get("threads", "")).isdecimal():
                return int(entry["threads"])
        return 0

    def refuse_differences(self, differing: Mapping[str, Tuple[Any, Any]]) -> None:
        """Raise UserError if the stored configuration differs in settings that change the result."""
        if differing:
            text = "; ".join(f"`{name}` was {old!r}, now {new!r}" for name, (old, new) in sorted(differing.items()))
            raise UserError(
                f"{self.path}: holds a run with another configuration ({text}). Give another `run`, or delete it."
            )

    def refuse_other_data(self, data: Mapping[str, Any]) -> None:
        """Raise UserError if the run was started on other images or labels."""
        if not os.path.exists(self.file(ENVIRONMENT)):
            return
        before = read_data_fingerprint(self.path)
        if before != data["fingerprint"]:
            raise UserError(
                f"{self.path}: the run was started on other images or labels than {data['folder']} holds now "
                f"(fingerprint {before:.12}, now {data['fingerprint']:.12}); bring them back, or give another `run`"
            )

    def remove_temporary(self) -> None:
        """Remove files that a killed process left half written. The caller holds the lock."""
        for name in os.listdir(self.path):
            if _is_temporary(name):
                os.unlink(self.file(name))

    def claim(self, new: bool, record: Dict[str, Any]) -> None:
        """Write config.json if the run is new. The caller holds the lock.

        Raises
        ------
        UserError
            If another process has started the run since.
        """
        if not new:
            return
        if self.exists:
            raise UserError(
                f"{self.path}: another process has started this run in the meantime; give another `run`, or start again"
            )
        write_json(self.file(CONFIG), record)

    def write_environment(self, devices: str, data: Dict[str, Any]) -> List[str]:
        """Write what the numbers depend on beside the configuration; return warnings.

        On resume the first environment stays. What differs is appended under "resumed_with" and is
        named in the warnings.
        """
        path = self.file(ENVIRONMENT)
        now = environment(devices, data)
        if not os.path.exists(path):
            write_json(path, now)
            return []
        before = _read_json(path, ENVIRONMENT)
        changed = {key: now[key] for key in CHANGES_RESULTS if key != "data" and before.get(key) != now[key]}
        if changed:
            write_json(path, dict(before, resumed_with=before.get("resumed_with", []) + [changed]))
        return [
            f"{key} was {before.get(key)!r} when the run began, is {value!r} now: the result can differ from an "
            "unbroken run's in its last digits"
            for key, value in changed.items()
        ]


def _is_temporary(name: str) -> bool:
    """Return whether a killed process left this file while it wrote one of the folder's files."""
    return name.startswith(tuple("." + kept for kept in (CONFIG, ENVIRONMENT, METRICS, RUN_SCORES, "model-")))


def environment(devices: str, data: Dict[str, Any]) -> Dict[str, Any]:
    """Return the contents of environment.json."""
    import cv2
    import mxnet
    import numpy

    variables = ("MXNET_", "MKL", "DNNL_", "OPENBLAS_", "KMP_", "CUDA_", "CUDNN_", "NVIDIA_TF32")
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
        "variables": {name: value for name, value in sorted(os.environ.items()) if name.startswith(variables)},
        "devices": devices,
        "data": data,
        "changes_results": list(CHANGES_RESULTS),
    }


def commit() -> Optional[str]:
    """Return the checkout's commit, with "+" if files differ from it; None outside a checkout."""
    folder = os.path.dirname(os.path.abspath(__file__))
    try:
        name = subprocess.run(["git", "rev-parse", "HEAD"], cwd=folder, capture_output=True, text=True, check=True)
        state = subprocess.run(["git", "status", "--porcelain"], cwd=folder, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return name.stdout.strip() + ("+" if state.stdout.strip() else "")


def command_line(environment: Dict[str, Any]) -> str:
    """Return the command that began the run, quoted for a shell; empty if it is not known."""
    command = environment.get("command") or []
    return shlex.join([os.path.basename(command[0]), *command[1:]]) if command else ""


def processor() -> str:
    """Return the processor's name."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as stream:
            for line in stream:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    import platform

    return platform.processor()
