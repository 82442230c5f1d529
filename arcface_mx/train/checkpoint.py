"""Checkpoints: all that changes between steps, written whole or not at all, no pickle.

`checkpoints/step-00001000/` holds `arrays.params` (MXNet's array format; names start with arg:,
aux: or momentum:) and `state.json` (format, step, images, SHA-256 of every array and of the file).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from dataclasses import dataclass
from typing import Any, Dict, List, Optional

import numpy as np

from arcface_mx.errors import UserError
from arcface_mx.files import fingerprint, whole_folder, write_json

FORMAT = 1
_NAME = re.compile(r"step-(\d{8,})$")


@dataclass
class RunState:
    """Everything that changes between two steps.

    Learning rate, margin ramp, random seeds and the position in the sample order are pure
    functions of `step` and the configuration, so they need no place of their own.
    """

    step: int  # updates done
    arg_params: Dict[str, Any]  # NDArrays
    aux_params: Dict[str, Any]
    momentum: Dict[str, Any]
    best: Dict[str, Any]  # best verification so far: {"step": …, "mean_accuracy": …}


def checkpoint_path(run: str, step: int) -> str:
    return os.path.join(run, "checkpoints", "step-%08d" % step)


def save(run: str, state: RunState, keep: int) -> str:
    """Write a checkpoint, then remove all but the newest `keep`; returns its folder."""
    import mxnet as mx

    path = checkpoint_path(run, state.step)
    if os.path.isdir(path):
        return path
    arrays: Dict[str, Any] = {}
    for prefix, group in (("arg", state.arg_params), ("aux", state.aux_params), ("momentum", state.momentum)):
        arrays.update({"%s:%s" % (prefix, name): value for name, value in sorted(group.items())})
    try:
        with whole_folder(path) as folder:
            array_file = os.path.join(folder, "arrays.params")
            mx.nd.save(array_file, arrays)
            note = {
                "format": FORMAT,
                "step": state.step,
                "best": state.best,
                "file_sha256": fingerprint(array_file),
                "arrays": {name: _describe(value) for name, value in arrays.items()},
            }
            write_json(os.path.join(folder, "state.json"), note)
    except OSError as error:
        raise UserError("%s: cannot write a checkpoint (%s); the one before is untouched" % (path, error))
    for old in existing(run)[keep:]:
        shutil.rmtree(old, ignore_errors=True)
    return path


def _describe(array: Any) -> Dict[str, Any]:
    value = array.asnumpy()
    return {
        "shape": list(value.shape),
        "dtype": str(value.dtype),
        "sha256": hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest(),
    }


def existing(run: str) -> List[str]:
    """Checkpoint folders of a run, newest first."""
    root = os.path.join(run, "checkpoints")
    if not os.path.isdir(root):
        return []
    return [os.path.join(root, name) for name in sorted(os.listdir(root), reverse=True) if _NAME.match(name)]


def newest(run: str, log: Any = print) -> Optional[RunState]:
    """The newest whole checkpoint of a run; damaged ones are named and passed over."""
    for path in existing(run):
        try:
            return load(path)
        except UserError as error:
            log("%s; trying the one before" % error)
    return None


def load(path: str) -> RunState:
    """Read one checkpoint; raises UserError, naming the array, where a checksum differs."""
    import mxnet as mx

    try:
        with open(os.path.join(path, "state.json"), encoding="utf-8") as stream:
            note = json.load(stream)
        if note["format"] != FORMAT:
            raise UserError("%s: checkpoint format %r; this version reads %d" % (path, note["format"], FORMAT))
        array_file = os.path.join(path, "arrays.params")
        if fingerprint(array_file) != note["file_sha256"]:
            raise UserError("%s: arrays.params differs from its checksum: damaged" % path)
        arrays = mx.nd.load(array_file)
        for name, entry in note["arrays"].items():
            if _describe(arrays[name])["sha256"] != entry["sha256"]:
                raise UserError("%s: array %s differs from its checksum: damaged" % (path, name))
        groups: Dict[str, Dict[str, Any]] = {"arg": {}, "aux": {}, "momentum": {}}
        for name, array in arrays.items():
            prefix, _, rest = name.partition(":")
            groups[prefix][rest] = array
        return RunState(note["step"], groups["arg"], groups["aux"], groups["momentum"], note["best"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError("%s: not a whole checkpoint (%s)" % (path, error))
