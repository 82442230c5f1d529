"""Checkpoints: all that changes between steps, written whole or not at all, without pickle.

`checkpoints/step-00001000/` holds `arrays.params`, in MXNet's array format with checksums
(`util/params.py`), whose names start with arg:, aux: or momentum:, and with aux0:, aux1:, … for the BatchNorm
statistics of several devices. `state.json` holds the format, the step, the best verification, the number
of skipped steps, the loss scale of a run in half precision, the digest of arrays.params and a digest of itself.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from typing import Any, Callable, Dict, List, Optional

import numpy as np

from arcface_mx.train.state import RunState
from arcface_mx.util.errors import UserError
from arcface_mx.util.files import atomic_directory, read_json, remove_temporary, rename_away, write_json
from arcface_mx.util.json_form import check_form
from arcface_mx.util.params import read_arrays, write_arrays

FORMAT = 2
ARRAYS, NOTE = "arrays.params", "state.json"
_NAME = re.compile(r"step-(\d{8,})$")
_BEST = {"step?": int, "mean_accuracy?": float}
_FORM = {"step": int, "best": _BEST, "skipped?": int, "arrays": str, "sha256": str}


def checkpoint_path(run: str, step: int) -> str:
    """Return the folder of a checkpoint."""
    return os.path.join(run, "checkpoints", f"step-{step:08d}")


def save(run: str, state: RunState, keep: int, keep_every: int = 0) -> str:
    """Write a checkpoint, then remove old ones; return its folder.

    Parameters
    ----------
    run : str
        The run folder.
    state : RunState
    keep : int
        Number of latest checkpoints that stay; 0 writes none.
    keep_every : int
        Checkpoints whose step is a multiple of this stay too; 0 means none. That of the best
        verification always stays.

    Raises
    ------
    UserError
        If it cannot be written. The checkpoints before it are then untouched.
    """
    path = checkpoint_path(run, state.step)
    if not keep:
        return path
    try:
        if os.path.isdir(path):
            if is_whole(path):
                return path
            rename_away(path, ".damaged")
        with atomic_directory(path) as folder:
            with open(os.path.join(folder, ARRAYS), "wb") as stream:
                digest = write_arrays(stream, _arrays_by_name(state))
            note = {
                "format": FORMAT,
                "step": state.step,
                "best": state.best,
                "skipped": state.skipped,
                "arrays": digest,
            }
            if state.loss_scale:
                note["loss_scale"] = state.loss_scale
            write_json(os.path.join(folder, NOTE), dict(note, sha256=_digest(note)))
        _prune(run, keep, keep_every, state.best.get("step"))
    except OSError as error:
        raise UserError(f"{path}: cannot write a checkpoint ({error}); the one before is untouched")
    return path


def _arrays_by_name(state: RunState) -> Dict[str, Any]:
    groups = {"arg": state.arg_params, "aux": state.aux_params, "momentum": state.momentum}
    groups.update({f"aux{device}": group for device, group in enumerate(state.device_statistics)})
    return {f"{prefix}:{name}": value for prefix, group in groups.items() for name, value in sorted(group.items())}


def _digest(note: Dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(note, sort_keys=True).encode()).hexdigest()


def _prune(run: str, keep: int, keep_every: int, best: Optional[int]) -> None:
    for old in existing(run)[keep:]:
        if _step(old) != best and (not keep_every or _step(old) % keep_every):
            # Renamed first: no half-removed folder ever stands under a checkpoint's name.
            shutil.rmtree(rename_away(old, ".old"), ignore_errors=True)


def _step(path: str) -> int:
    match = _NAME.match(os.path.basename(path))
    assert match is not None
    return int(match.group(1))


def existing(run: str) -> List[str]:
    """Return the checkpoint folders of a run, latest first."""
    root = os.path.join(run, "checkpoints")
    if not os.path.isdir(root):
        return []
    return sorted((os.path.join(root, name) for name in os.listdir(root) if _NAME.match(name)), key=_step, reverse=True)


def steps(run: str) -> List[int]:
    """Return the steps of which a run has a checkpoint, latest first."""
    return [_step(path) for path in existing(run)]


def latest(run: str, log: Callable[[str], Any] = print) -> Optional[RunState]:
    """Return the latest whole checkpoint of a run, None if there is none.

    Damaged checkpoints are named to `log` and passed over.

    Raises
    ------
    UserError
        If there are checkpoints and none is whole.
    """
    paths = existing(run)
    for path in paths:
        try:
            return load(path)
        except UserError as error:
            log(f"{error}; trying the one before")
    if paths:
        raise UserError(
            f"{run}: none of its {len(paths)} checkpoints is whole; restore one, or delete the run to start anew"
        )
    return None


def is_whole(path: str) -> bool:
    """Return whether a checkpoint can be loaded."""
    try:
        load(path)
    except UserError:
        return False
    return True


def resume(run: str, log: Callable[[str], Any] = print) -> Optional[RunState]:
    """Return the latest whole checkpoint for the process that continues the run and holds its lock.

    What a killed process left half written is removed. Damaged checkpoints are renamed, so that they
    never count among those that are kept.
    """
    remove_temporary(os.path.join(run, "checkpoints"), "step-")
    state = latest(run, log)
    for path in existing(run):
        if state and _step(path) > state.step:
            rename_away(path, ".damaged")
    return state


def load(path: str) -> RunState:
    """Read one checkpoint. Raises UserError, naming the array, if a checksum differs."""
    import mxnet as mx

    try:
        note = read_json(os.path.join(path, NOTE))
        if not isinstance(note, dict):
            raise ValueError("state.json holds no object")
        if note["format"] != FORMAT:
            raise UserError(f"{path}: checkpoint format {note['format']!r}; this version reads {FORMAT}")
        check_form(note, _FORM)
        arrays = _read_arrays(path, note)
        if note["step"] != _step(os.path.abspath(path)):
            raise UserError(f"{path}: its state.json says step {note['step']}: damaged or renamed")
        groups: Dict[str, Dict[str, Any]] = {"arg": {}, "aux": {}, "momentum": {}}
        for name in list(arrays):
            array = arrays.pop(name)  # released once copied, so that the file is in memory once
            prefix, _, rest = name.partition(":")
            group = groups.setdefault(prefix, {}) if re.fullmatch(r"aux\d+", prefix) else groups[prefix]
            group[rest] = mx.nd.array(array, dtype=array.dtype)
        arg_params, aux_params, momentum = (groups.pop(kind) for kind in ("arg", "aux", "momentum"))
        of_devices = [groups[f"aux{device}"] for device in range(len(groups))]
        skipped, scale = note.get("skipped", 0), note.get("loss_scale", {})
        return RunState(note["step"], arg_params, aux_params, momentum, note["best"], skipped, scale, of_devices)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: not a whole checkpoint ({error})")


def _read_arrays(path: str, note: Dict[str, Any]) -> Dict[str, np.ndarray]:
    if _digest({key: value for key, value in note.items() if key != "sha256"}) != note["sha256"]:
        raise UserError(f"{path}: state.json differs from its checksum: damaged")
    stored = read_arrays(os.path.join(path, ARRAYS))
    if stored.digest != note["arrays"]:
        raise UserError(f"{path}: arrays.params and state.json do not belong together")
    return stored.arrays
