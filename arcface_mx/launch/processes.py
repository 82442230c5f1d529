"""Child processes that never outlive their parent and whose output is labelled with their names."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import IO, Dict, Optional, Sequence

# Seconds between SIGTERM and SIGKILL, in which a worker may finish its step and its checkpoint.
TERMINATION_TIMEOUT = 10.0
OUTPUT_TIMEOUT = 2.0  # seconds to wait for the last lines that an ended process has printed


@dataclass
class Child:
    """A process that was started, and the name that the output gives it."""

    name: str
    process: subprocess.Popen[bytes]
    reader: threading.Thread = field(repr=False)

    @property
    def exit_code(self) -> Optional[int]:
        """Exit code, negative if a signal ended the process, None while it runs."""
        return self.process.poll()

    def wait_for_output(self) -> None:
        """Wait until the lines that the process has printed appear."""
        self.reader.join(OUTPUT_TIMEOUT)


def start(name: str, command: Sequence[str], environment: Dict[str, str]) -> Child:
    """Start a process in a process group of its own, and print its lines as "[name] line"."""
    process = subprocess.Popen(
        list(command),
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        preexec_fn=_end_with_parent,
    )
    reader = threading.Thread(target=_print_lines, args=(name, process.stdout), daemon=True)
    reader.start()
    return Child(name, process, reader)


def _end_with_parent() -> None:
    # On Linux the kernel kills this process when its parent ends, even if the parent was killed.
    if sys.platform == "linux":
        import ctypes

        PR_SET_PDEATHSIG = 1
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _print_lines(name: str, stream: IO[bytes]) -> None:
    for line in iter(stream.readline, b""):
        text = line.decode("utf-8", "replace").rstrip("\n")
        print(f"[{name}] {text}", flush=True)


def wait(children: Sequence[Child], timeout: float) -> None:
    """Wait until all processes have ended, at most `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline and any(child.exit_code is None for child in children):
        time.sleep(0.05)


def terminate(children: Sequence[Child], timeout: float = TERMINATION_TIMEOUT) -> None:
    """End all processes: with SIGTERM, and with SIGKILL those that still run after `timeout` seconds."""
    running = [child for child in children if child.exit_code is None]
    _send(running, signal.SIGTERM)
    wait(running, timeout)
    _send(children, signal.SIGKILL)  # to the groups, so that the children of an ended child end too
    for child in children:
        child.process.wait()
        child.wait_for_output()


def _send(children: Sequence[Child], number: int) -> None:
    for child in children:
        try:
            os.killpg(child.process.pid, number)
        except (ProcessLookupError, PermissionError):
            pass


def describe_exit(code: int) -> str:
    """Say in words what an exit code means."""
    if code >= 0:
        return f"ended with code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"
