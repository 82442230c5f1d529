"""Run the processes of a training, here or over ssh, until they end or one of them fails."""

from __future__ import annotations

import logging
import os
import signal
import sys
from typing import Any, Dict, List, NamedTuple, Optional, Sequence

from arcface_mx.launch.hosts import ssh_command
from arcface_mx.launch.processes import Child, start, terminate, wait
from arcface_mx.launch.watch import END_TIMEOUT, is_worker, watch

LOGGER = logging.getLogger(__name__)


class ProcessSpec(NamedTuple):
    """A process to start. Without a host it runs on this machine."""

    name: str
    arguments: Sequence[str]  # of the Python interpreter
    environment: Dict[str, str]  # in addition to that of this process
    host: Optional[str] = None


def supervise(processes: Sequence[ProcessSpec], ssh: str = "ssh") -> int:
    """Run processes to their end, and return the exit code. None of them outlives this function.

    The code is 130 if this process was interrupted, and otherwise that of `watch`.
    """
    children: List[Child] = []
    signals = [signal.SIGTERM, signal.SIGHUP]
    if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:  # nohup has started this process
        signals.remove(signal.SIGHUP)
    handlers = {number: signal.signal(number, _interrupt) for number in signals}
    try:
        for process in processes:
            children.append(_start(process, ssh))
        code = watch(children)
        if code == 0:
            wait(children, END_TIMEOUT)  # scheduler and servers end by themselves when all workers have ended
        return code
    except KeyboardInterrupt:
        LOGGER.error("launch: interrupted; ending all processes")
        return 130
    finally:
        terminate([child for child in children if is_worker(child)])  # they save a checkpoint, and need the servers
        terminate(children, timeout=0.0)
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _interrupt(number: int, frame: Any) -> None:
    raise KeyboardInterrupt


def _start(process: ProcessSpec, ssh: str) -> Child:
    if process.host is None:
        command = [sys.executable, *process.arguments]
        return start(process.name, command, {**os.environ, **process.environment})
    # The terminal ends the process on the host when the connection ends.
    command = ssh_command(ssh, process.host, process.arguments, process.environment, terminal=True)
    return start(process.name, command, dict(os.environ))
