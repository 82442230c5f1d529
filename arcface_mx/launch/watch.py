"""Wait for the end of a run, and name the process that failed first."""

from __future__ import annotations

import logging
import signal
import time
from typing import Optional, Sequence

from arcface_mx.launch.processes import Child, describe_exit
from arcface_mx.util.errors import LOST_WORKER_CODE

LOGGER = logging.getLogger(__name__)

# Once a process has ended without an error, the other workers must end within this time. All have
# waited for the last verification by then.
END_TIMEOUT = 20.0
# Grace period in which the process that failed first may still report, if one of its peers exited
# before it.
CULPRIT_TIMEOUT = 5.0


def watch(children: Sequence[Child]) -> int:
    """Wait until all workers end, or until a process fails, and return the launcher's exit code.

    The code is 0 if every worker ended without an error, 2 if a worker refused its input, and 1
    otherwise.
    """
    workers = [child for child in children if is_worker(child)]
    deadline: Optional[float] = None
    while any(worker.exit_code != 0 for worker in workers):
        failed = _first_failed(children)
        ended = next((child for child in children if child.exit_code == 0), None)
        if failed is None and ended is not None:
            deadline = deadline or time.monotonic() + END_TIMEOUT
            if time.monotonic() > deadline:
                failed = ended  # it ended too early: the others still wait for it
        if failed is not None:
            return _report(_culprit(failed, children))
        time.sleep(0.1)
    return 0


def is_worker(child: Child) -> bool:
    """Whether a process trains. The others are a scheduler and servers."""
    return child.name.startswith("worker")


def _is_victim(child: Child) -> bool:
    """Whether the process ended because it lost another process. ps-lite and Horovod abort then."""
    return child.exit_code in (LOST_WORKER_CODE, -signal.SIGABRT)


def _first_failed(children: Sequence[Child]) -> Optional[Child]:
    """Return a process that failed, preferably one that is no victim."""
    failed = [child for child in children if child.exit_code not in (None, 0)]
    return min(failed, key=_is_victim, default=None)


def _culprit(failed: Child, children: Sequence[Child]) -> Child:
    """Return the process that brought the others down, which may end a moment after its victims."""
    deadline = time.monotonic() + CULPRIT_TIMEOUT
    while _is_victim(failed) and time.monotonic() < deadline and any(child.exit_code is None for child in children):
        time.sleep(0.05)
        failed = _first_failed(children) or failed
    return _first_failed(children) or failed


def _report(culprit: Child) -> int:
    code = culprit.exit_code or 0
    culprit.wait_for_output()  # its last lines often say why
    LOGGER.error("launch: %s %s; ending the others", culprit.name, describe_exit(code))
    if code == 2 and is_worker(culprit):
        return 2
    LOGGER.error("launch: run the same command again to continue from the last checkpoint")
    return 1
