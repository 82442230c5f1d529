"""One process a run folder: `RUN/run.lock`, held with flock while a process trains there.

The kernel lets go of it however the process ends, so a lock never has to be removed by hand; what is
written in the file only names the process.
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
    """Use as a context manager; `take` raises UserError where another process holds the folder.

    left_by: after `take`, a line about a process that died here without letting go; else empty.
    """

    def __init__(self, run: str) -> None:
        self._run, self._descriptor = run, -1
        self.left_by = ""

    def __enter__(self) -> RunLock:
        return self

    def take(self) -> None:
        """Make the folder where there is none, and lock it. Taking it twice is taking it once."""
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
                f"{self._run}: {holder} is training in it; wait for its end, or give another --run"
            ) from None
        except OSError as error:  # a file system without locks
            self.left_by = (
                f"{self._run} cannot be locked here ({error.strerror}): see to it that no second process trains in it"
            )
        self._descriptor = descriptor
        holder_before = _holder(descriptor)
        if holder_before:
            self.left_by = f"{_describe(holder_before)} ended here without a word (killed, or the machine stopped)"
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
