"""The number of threads that MXNet computes with on the CPU: set in a running process, and chosen by measurement.

On cores that other processes use too, several threads can be much slower than one: at the end of each parallel loop
they wait for the slowest of them, in a busy loop.
"""

from __future__ import annotations

import ctypes
import os
import time
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Optional, Sequence

from arcface_mx.util.environment import available_cores, given_threads, num_threads, started_threads, write_threads
from arcface_mx.util.errors import UserError

if TYPE_CHECKING:
    from mxnet.context import Context

SECONDS = 0.4  # of measurement for each number of threads, after one call that prepares
MIN_CALLS, PATIENCE = 3, 10.0  # so many calls, unless they take so many times longer than SECONDS
MUCH_LONGER = 1.3  # then still fewer threads are not measured
NOTICEABLE = 0.15  # cores; so much use by other processes is worth a word
_decided: List[int] = []  # the number that `set_threads` has set last; empty before


class _Context(ctypes.Structure):
    """mxnet::Context, as MXNet's engine takes it."""

    _fields_ = [("device_type", ctypes.c_int32), ("device_id", ctypes.c_int32)]


_EngineFunction = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)


def set_threads(count: int, contexts: Sequence[Context]) -> None:
    """Compute with `count` threads on each of these CPU contexts from now on, as a process does that began with them.

    Parameters
    ----------
    count : int
    contexts : sequence of Context
        Other devices than CPUs are left alone.

    Raises
    ------
    UserError
        If this build of MXNet does not let the number be changed.

    Notes
    -----
    An OpenMP thread count belongs to the thread that sets it. MXNet's operators run in the worker threads of its
    engine, so that `MXSetNumOMPThreads` has to be called there. Those threads also keep oneDNN's kernels, which are
    compiled for one number of threads. Hence the engine is stopped and started again, as MXNet does before and
    after a fork. New worker threads know no kernels, and the results have the bits of a process that has had
    OMP_NUM_THREADS=count from its beginning.
    """
    if {count} != {_decided[0] if _decided else started_threads(), num_threads()}:
        _restart_engine()
        _in_each_worker(count, contexts)
    write_threads(count)
    _decided[:] = [count]


def is_open() -> bool:
    """Return whether nobody has chosen the number of threads yet: no OMP_NUM_THREADS, and no `set_threads`."""
    return not _decided and not given_threads()


def candidates() -> List[int]:
    """Return the numbers of threads that are worth a measurement: all cores, half of them, and one."""
    cores = available_cores()
    return sorted({1, max(1, cores // 2), cores}, reverse=True)


def fastest(times: Dict[int, float]) -> int:
    """Return the number of threads with the shortest time; of equal ones the largest."""
    return min(times, key=lambda count: (times[count], -count))


def measure(step: Callable[[], object], use: Callable[[int], None], seconds: float = SECONDS) -> Dict[int, float]:
    """Return the seconds that a call of `step` takes by number of threads. The last number of them stays in use.

    Measures the numbers of `candidates`, until fewer threads take much longer. `use` sets a number.
    """
    times: Dict[int, float] = {}
    for count in candidates():
        use(count)
        step()  # oneDNN compiles its kernels
        begin, calls = time.perf_counter(), 0
        elapsed = 0.0
        while calls == 0 or elapsed < seconds or (calls < MIN_CALLS and elapsed < PATIENCE * seconds):
            step()
            calls, elapsed = calls + 1, time.perf_counter() - begin
        times[count] = elapsed / calls
        if times[count] > MUCH_LONGER * min(times.values()):
            break
    return times


class OtherProcesses:
    """How many cores other processes use, from one look to the next."""

    def __init__(self) -> None:
        self._last = self._look()

    def cores(self) -> Optional[float]:
        """Return the mean number of cores that others used since the last call; None where Linux does not tell."""
        before, self._last = self._last, self._look()
        if before is None or self._last is None or self._last[0] <= before[0]:
            return None
        seconds, busy, own = (now - then for now, then in zip(self._last, before))
        return max(0.0, (busy - own) / seconds)

    @staticmethod
    def _look() -> Optional[Sequence[float]]:
        """Return the time, and the processor seconds of all processes and of this one with its children."""
        try:
            with open("/proc/stat", encoding="ascii") as stream:
                fields = [int(part) for part in stream.readline().split()[1:9]]
        except (OSError, ValueError):
            return None
        idle = fields[3] + fields[4]
        used = os.times()
        return time.monotonic(), (sum(fields) - idle) / os.sysconf("SC_CLK_TCK"), sum(used[:2])


def describe(times: Dict[int, float], others: Optional[float], what: str) -> str:
    """Say how many threads of how many compute, and why they are not all.

    Parameters
    ----------
    times : dict of int to float
        What `measure` returned.
    others : float or None
        Cores that other processes used in the meantime.
    what : str
        What was measured, for example "a step".
    """
    count, cores = fastest(times), available_cores()
    text = f"{count} of {cores}"
    if count < cores:
        alone = others is not None and others < NOTICEABLE
        text += ", because " + ("more are not faster here" if alone else "other processes use this machine")
    measured = ", ".join(f"{seconds:.3g} s with {number}" for number, seconds in sorted(times.items()))
    return f"{text} ({what} takes {measured})"


def _library() -> Any:
    from mxnet.base import _LIB

    return _LIB


def _restart_engine() -> None:
    """Stop and start MXNet's engine by the functions that MXNet calls before and after a fork."""
    library, name = _library(), "_ZN5mxnet18LibraryInitializer"
    try:
        get, stop, start = (
            getattr(library, name + end) for end in ("3GetEv", "14atfork_prepareEv", "13atfork_parentEv")
        )
    except AttributeError:
        raise UserError(
            "this build of MXNet cannot change its number of threads; set OMP_NUM_THREADS, and remove `threads`"
        ) from None
    get.restype = ctypes.c_void_p
    for function in (stop, start):
        function.argtypes, function.restype = [ctypes.c_void_p], None
    initializer = get()
    stop(initializer)
    start(initializer)


def _in_each_worker(count: int, contexts: Sequence[Context]) -> None:
    """Set the number of OpenMP threads in this thread and in the engine's worker of each CPU context."""
    import mxnet as mx
    from mxnet.base import check_call

    library = _library()
    library.MXSetNumOMPThreads(count)
    function = _EngineFunction(lambda run, argument: library.MXSetNumOMPThreads(count) and None)
    for number in sorted({context.device_id for context in contexts if context.device_type == "cpu"} | {0}):
        context = _Context(mx.cpu().device_typeid, number)
        check_call(
            library.MXEnginePushSync(
                function, None, None, ctypes.byref(context), None, 0, None, 0, None, 0, b"arcface_threads"
            )
        )
    mx.nd.waitall()
