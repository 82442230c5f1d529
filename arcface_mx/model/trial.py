"""Try a graph of unknown origin once in a process of its own, before this process loads it.

`graph_check.py` refuses what MXNet must not read. A graph that passes may still end the process or
never come to an end in MXNet's C++ code. So the first time that a graph is loaded, another process
loads it, infers its shapes and embeds one image, with limits of time and memory. The outcome is kept
in the cache folder, by a hash of the graph and of the shapes of its parameters. Graphs that this
project writes on this machine are known there and are not tried. The same is done with ONNX files, except
those that state a checksum of themselves, as this project's do.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
from typing import Any, Dict, Mapping, Optional

import numpy as np

from arcface_mx.util.errors import UserError
from arcface_mx.util.files import atomic_write, cache_folder
from arcface_mx.util.private import is_private, remove_unused, touch

MAX_SECONDS = 300  # of time, so that a busy machine passes; `trial_child.py` limits processor time
FOLDER = "graphs"
DIED = "it is damaged or was made to do harm, and is not loaded"

Arrays = Mapping[str, Any]  # parameters by name


def try_graph(paths: Mapping[str, str], text: str, arguments: Arrays, states: Arrays, layer: Optional[str]) -> None:
    """Load and run a graph in another process, unless that was done before.

    `paths` are those of "symbol" and "params", for messages. Raises UserError if the graph cannot be
    loaded, ends the process, or takes too much time or memory.
    """
    path = _verdict(text, arguments, states)
    if _is_known(path):
        return
    request = {"paths": dict(paths), "text": text, "layer": layer}
    request.update(arguments=_shapes(arguments), states=_shapes(states))
    reason = run_trial("arcface_mx.model.trial_child", paths["symbol"], json.dumps(request), "MXNet")
    if reason:
        raise UserError(reason)
    remember(text, arguments, states)


def remember(text: str, arguments: Arrays, states: Arrays) -> None:
    """Note that a graph with parameters of these shapes needs no trial."""
    _note(_verdict(text, arguments, states))


def try_onnx(path: str, digest: str, layer: Optional[str]) -> None:
    """Load and run an ONNX file in another process, unless that was done before with a file of this SHA-256.

    Raises UserError if it cannot be run, ends the process, or takes too much time or memory.
    """
    verdict = _onnx_verdict(digest, layer)
    if _is_known(verdict):
        return
    request = json.dumps({"path": os.path.abspath(path), "shown": path, "layer": layer})
    reason = run_trial("arcface_mx.model.onnx_trial_child", path, request, "ONNX Runtime")
    if reason:
        raise UserError(reason)
    _note(verdict)


def _is_known(path: str) -> bool:
    """Return whether a file in the cache folder says that something was tried, and can be trusted."""
    if not os.path.exists(path) or not is_private(path):
        return False
    touch(path)
    return True


def _note(path: str) -> None:
    with contextlib.suppress(OSError):  # without a writable cache folder it is tried at each start
        with atomic_write(path, "w") as stream:
            stream.write("loaded and run without a fault\n")
        remove_unused(os.path.dirname(path), "")


def run_trial(module: str, path: str, request: str, program: str) -> str:
    """Have a module answer a request in a process of its own; returns why the file `path` is refused, or nothing.

    `program` is what loads the graph there, for messages.
    """
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    command = [sys.executable, "-W", "ignore", "-m", module]
    try:
        done = subprocess.run(
            command,
            cwd=root,
            input=request.encode(),
            capture_output=True,
            timeout=MAX_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return f"{path}: {program} has not come to an end with this graph after {MAX_SECONDS} s; {DIED}"
    if done.returncode in (-signal.SIGXCPU, -signal.SIGKILL):
        return f"{path}: {program} takes too much time or memory for this graph; {DIED}"
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        return f"{path}: {program} crashes with this graph ({name}); {DIED}"
    try:
        return str(json.loads(done.stdout.decode().splitlines()[-1])["reason"])
    except (ValueError, IndexError, KeyError):
        lines = done.stderr.decode(errors="replace").strip().splitlines() or [f"exit code {done.returncode}"]
        return f"{path}: the graph could not be tried in another process: {lines[-1]:.200}"


def _verdict(text: str, arguments: Arrays, states: Arrays) -> str:
    """Return the path of the file that exists if the graph needs no trial."""
    import mxnet as mx

    known = [mx.__version__, text, _shapes(arguments), _shapes(states)]
    digest = hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()
    return os.path.join(cache_folder(), FOLDER, digest)


def _onnx_verdict(digest: str, layer: Optional[str]) -> str:
    """Return the same for an ONNX file."""
    import onnxruntime

    known = json.dumps(["onnx", onnxruntime.__version__, digest, layer])
    return os.path.join(cache_folder(), FOLDER, hashlib.sha256(known.encode()).hexdigest())


def _shapes(arrays: Arrays) -> Dict[str, Any]:
    return {name: [list(array.shape), np.dtype(array.dtype).name] for name, array in arrays.items()}
