"""Run a function on batches of items in child processes that may die.

A decoder that a stranger's image crashes ends its process at once. Here that process is a child. Its
batch is done again item by item, so that the item which kills the child is known and all other
items have their results. The children are no sandbox: they isolate crashes, not attacks.
"""

from __future__ import annotations

import atexit
import collections
import contextlib
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Callable, Deque, Iterable, Iterator, List, Sequence, TypeVar

from arcface_mx.util.errors import UserError

Item = TypeVar("Item")
Result = TypeVar("Result")

SECONDS = 300.0  # for one item; a child that takes longer is killed
MAX_KEPT = 4  # children that wait for the next call, because a start takes about half a second
START = "import sys; sys.path[:] = {path!r}; from arcface_mx.util.children import serve; serve()"


class ChildDied(Exception):
    """A child ended without an answer. The message says how."""


def run_batches(
    function: Callable[[List[Item]], Result],
    batches: Iterable[Sequence[Item]],
    crashed: Callable[[Item, str], Result],
    workers: int = 1,
) -> Iterator[Result]:
    """Yield the results of ``function(batch)``, computed in child processes, in the order of the batches.

    Parameters
    ----------
    function : callable
        Takes a list of items. It must be importable by its name in another process, or a
        `functools.partial` of such a function.
    batches : iterable of sequences
        The items. Items, results and arguments are pickled. Batches are taken a few ahead.
    crashed : callable
        Gives the result of an item that ends its process, from the item and a reason such as
        ``"the decoder crashed (SIGSEGV)"``.
    workers : int
        Number of child processes.

    Yields
    ------
    object
        One result per batch; one result per item of a batch in which a child died.

    Raises
    ------
    UserError
        If a child cannot be started.
    Exception
        What `function` raises.
    """
    children = [_kept.pop() if _kept else _Child() for _ in range(max(1, workers))]
    idle: queue.LifoQueue[_Child] = queue.LifoQueue()
    for child in children:
        idle.put(child)

    def run(batch: List[Item]) -> List[Result]:
        child = idle.get()
        try:
            return _run_batch(child, function, batch, crashed)
        finally:
            idle.put(child)

    waiting: Deque[Future[List[Result]]] = collections.deque()
    pool = ThreadPoolExecutor(len(children))
    done = False
    try:
        for batch in batches:
            waiting.append(pool.submit(run, list(batch)))
            if len(waiting) > 2 * len(children):
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()
        done = True
    finally:
        for future in waiting:
            future.cancel()
        for child in children:
            if not done:
                child.stop()
        pool.shutdown()
        for child in children:
            if done and len(_kept) < MAX_KEPT:
                _kept.append(child)
            else:
                child.close()


_kept: List[_Child] = []


@atexit.register
def close_children() -> None:
    """End the child processes that wait for the next call."""
    while _kept:
        _kept.pop().close()


def in_batches(items: Iterable[Item], size: int) -> Iterator[List[Item]]:
    """Yield lists of `size` items; the last one may be shorter."""
    batch: List[Item] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _run_batch(
    child: _Child,
    function: Callable[[List[Item]], Result],
    batch: List[Item],
    crashed: Callable[[Item, str], Result],
) -> List[Result]:
    try:
        return [child.call(function, batch)]
    except ChildDied as death:
        if len(batch) == 1:
            return [crashed(batch[0], str(death))]
    return [result for item in batch for result in _run_batch(child, function, [item], crashed)]


class _Child:
    """A child process, started when it is needed, also again after it died."""

    def __init__(self) -> None:
        self._process: Any = None
        self._stopped = False

    def call(self, function: Callable[[List[Item]], Result], batch: List[Item]) -> Result:
        """Return ``function(batch)``. Raises ChildDied if the process ends first."""
        if self._stopped:
            raise UserError("interrupted")
        if self._process is None:
            command = [sys.executable, "-c", START.format(path=sys.path)]
            # What libraries print, such as "Corrupt JPEG data", names no file and is left out.
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
        limit = threading.Timer(SECONDS * len(batch), self._process.kill)
        limit.daemon = True
        limit.start()
        try:
            pickle.dump((os.getcwd(), function, batch), self._process.stdin, pickle.HIGHEST_PROTOCOL)
            self._process.stdin.flush()
            # The child is this program and has the rights of this process: a pickle of its lets it do nothing more.
            done, answer = pickle.load(self._process.stdout)
        except (OSError, EOFError, pickle.UnpicklingError):
            raise self._death(limit.finished.is_set()) from None
        finally:
            limit.cancel()
        if not done:
            raise answer
        return answer

    def stop(self) -> None:
        """Kill the process, so that a call in another thread ends, and do not start it again."""
        self._stopped = True
        process = self._process
        if process is not None:
            process.kill()

    def close(self) -> None:
        """Wait for the end of the process. There must be no call in another thread."""
        if self._process is not None:
            self._process.kill()
            self._process.stdout.close()
            with contextlib.suppress(OSError):  # what was not sent cannot be sent any more
                self._process.stdin.close()
            self._process.wait()

    def _death(self, late: bool) -> Exception:
        process, self._process = self._process, None
        process.stdout.close()
        with contextlib.suppress(OSError):
            process.stdin.close()
        code = process.wait()
        if late:
            return ChildDied(f"took more than {SECONDS:.0f} seconds")
        if code < 0:
            return ChildDied(f"the decoder crashed ({signal.Signals(-code).name})")
        return UserError(f"a child process ended with exit code {code}; run arcface-mx doctor")


def serve() -> None:
    """Answer the calls of the parent process until it closes the pipe. This is the child's main function."""
    import cv2

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends its children
    cv2.setNumThreads(1)
    calls, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print must not get between the answers
    while True:
        try:
            folder, function, batch = pickle.load(calls)
        except EOFError:
            return
        os.chdir(folder)
        try:
            answer = (True, function(batch))
        except Exception as error:  # the parent raises it
            answer = (False, error)
        pickle.dump(answer, answers, pickle.HIGHEST_PROTOCOL)
        answers.flush()
