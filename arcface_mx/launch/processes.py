"""Child processes that never outlive their parent: started, their output prefixed, ended together."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional, Sequence

GRACE = 10.0  # seconds between asking a process to end and ending it


@dataclass
class Child:
    """One process with the name under which it is spoken of."""

    name: str
    process: subprocess.Popen[bytes]
    reader: threading.Thread = field(repr=False)

    @property
    def code(self) -> Optional[int]:
        """Exit code, None while it runs."""
        return self.process.poll()


def start(name: str, command: Sequence[str], environment: Dict[str, str]) -> Child:
    """Start a process in a group of its own; each line that it prints appears as "[name] line"."""
    process = subprocess.Popen(
        list(command),
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        preexec_fn=_end_with_parent,
    )
    reader = threading.Thread(target=_prefix, args=(name, process.stdout), daemon=True)
    reader.start()
    return Child(name, process, reader)


def _end_with_parent() -> None:
    """Linux: the kernel ends this process when the launcher is gone, however that happened."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _prefix(name: str, stream: Any) -> None:
    for line in iter(stream.readline, b""):
        print("[{}] {}".format(name, line.decode("utf-8", "replace").rstrip("\n")), flush=True)


def end(children: Sequence[Child], grace: float = GRACE) -> List[str]:
    """Ask all to end, wait, then end those that did not; returns the names of the latter."""
    running = [child for child in children if child.code is None]
    _signal(running, signal.SIGTERM)
    limit = time.monotonic() + grace
    while time.monotonic() < limit and any(child.code is None for child in running):
        time.sleep(0.05)
    stubborn = [child for child in running if child.code is None]
    _signal(children, signal.SIGKILL)  # whole groups: what a child started ends too
    for child in children:
        child.process.wait()
        child.reader.join(timeout=2.0)
    return [child.name for child in stubborn]


def _signal(children: Sequence[Child], number: int) -> None:
    for child in children:
        try:
            os.killpg(child.process.pid, number)
        except (ProcessLookupError, PermissionError):
            pass


def how_it_ended(code: int) -> str:
    """An exit code in words."""
    if code >= 0:
        return f"ended with code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"
