"""One process a run folder: `RUN/run.lock` is held with flock while a process trains there.

The kernel releases the lock however the process ends, so it never has to be removed by hand. The text in
the file only names the process.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from typing import Any, Dict, Optional

from arcface_mx.util.errors import UserError
from arcface_mx.util.files import make_folder

NAME = "run.lock"


class RunLock:
    """A context manager that holds a run folder from `take` to its end.

    Parameters
    ----------
    run : str
        The run folder.

    Attributes
    ----------
    left_by : str
        After `take`, a warning: a process died while it held the folder, or the file system has no
        locks. Empty if there is nothing to warn of.
    """

    def __init__(self, run: str) -> None:
        self._run, self._descriptor = run, -1
        self.left_by = ""

    def __enter__(self) -> RunLock:
        return self

    def take(self) -> None:
        """Make the folder if there is none, and lock it. A second call has no effect.

        Raises
        ------
        UserError
            If another process holds the folder.
        """
        if self._descriptor >= 0:
            return
        make_folder(os.path.abspath(self._run))
        descriptor = os.open(os.path.join(self._run, NAME), os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _describe(_holder(descriptor))
            os.close(descriptor)
            raise UserError(
                f"{self._run}: {holder} is training in it; wait for its end, or give another `run`"
            ) from None
        except OSError as error:  # a file system without locks
            advice = "make sure that no second process trains in it"
            self.left_by = f"{self._run} cannot be locked on this file system ({error.strerror}): {advice}"
        self._descriptor = descriptor
        holder_before = _holder(descriptor)
        if holder_before and not self.left_by:  # without a lock, that process may still be training
            reason = "(it was killed, or the machine stopped)"
            self.left_by = f"{_describe(holder_before)} ended here without releasing the folder {reason}"
        self._write({"pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%Y-%m-%d %H:%M:%S")})

    def __exit__(self, *error: object) -> None:
        if self._descriptor >= 0:
            self._write(None)
            os.close(self._descriptor)
            self._descriptor = -1

    def _write(self, holder: Optional[Dict[str, Any]]) -> None:
        os.ftruncate(self._descriptor, 0)
        if holder:
            os.pwrite(self._descriptor, json.dumps(holder).encode(), 0)


def _holder(descriptor: int) -> Dict[str, Any]:
    try:
        value = json.loads(os.pread(descriptor, 4096, 0).decode())
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _describe(holder: Dict[str, Any]) -> str:
    if not holder:
        return "another process"
    return f"process {holder.get('pid')} on {holder.get('host')} (since {holder.get('since')})"
