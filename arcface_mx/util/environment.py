"""Prepare this process for MXNet, before `import mxnet`."""

from __future__ import annotations

import os
import sys
from typing import List

from arcface_mx.util.mxnet_import import prepare_import

MAX_IMAGE_PIXELS = 1 << 28
GIVEN_THREADS = os.environ.get("OMP_NUM_THREADS", "")  # what the user has set, before `prepare_process` sets it
_written: List[str] = []  # the last value that this module has written to OMP_NUM_THREADS


def prepare_process() -> None:
    """Make `import mxnet` work, and set the variables that MXNet and OpenCV read when they load.

    `import arcface_mx` calls this function. It changes nothing else, and it keeps every variable
    that the user has set.

    - ``OPENCV_IO_MAX_IMAGE_PIXELS`` is 2**28, a quarter of OpenCV's limit, so that an image file
      from a stranger cannot ask for all memory.
    - ``OMP_NUM_THREADS`` is the number of cores, unless MXNet is already imported and has made its
      threads. MXNet would use half of the cores.
    - ``MXNET_SUBGRAPH_BACKEND`` is "default", which turns off the oneDNN graph pass. That pass gains
      3 % and fails on some published models ("We can't generate TBlob for MKLDNN data").
    - ``MXNET_SUBGRAPH_VERBOSE`` is 0, because MXNet would print the name of the graph pass each time
      that a graph is bound.
    - ``MXNET_UPDATE_ON_KVSTORE`` is 0, so that the momentum stays beside the parameters, where a
      checkpoint can save it.
    - ``ORT_DISABLE_TELEMETRY`` is 1, because recent versions of ONNX Runtime send usage data to Microsoft.
    - ``numpy.bool`` is defined if it is missing. MXNet 1.9.1 reads it while it is imported, and
      NumPy 1.24 removed it.
    - ``import mxnet`` is prepared by `mxnet_import`: it raises an ImportError that says what to do where
      MXNet is missing or cannot work, and it loads CUDA's libraries for the GPU build.
    """
    import numpy

    os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(MAX_IMAGE_PIXELS))
    if "mxnet" not in sys.modules:
        if not GIVEN_THREADS:
            write_threads(available_cores())
    os.environ.setdefault("MXNET_SUBGRAPH_BACKEND", "default")  # "NONE" prints a line at every bind
    os.environ.setdefault("MXNET_SUBGRAPH_VERBOSE", "0")
    os.environ.setdefault("MXNET_UPDATE_ON_KVSTORE", "0")
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    if "bool" not in numpy.__dict__:
        numpy.bool = bool  # type: ignore[attr-defined]
    prepare_import()


def available_cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def threads_of_each(processes: int) -> str:
    """Return OMP_NUM_THREADS for each of several processes that share the cores of this process."""
    return GIVEN_THREADS or str(max(1, available_cores() // processes))


def num_threads() -> int:
    """Return the number of threads that may compute: OMP_NUM_THREADS, or one a core if it is not set."""
    return _number(os.environ.get("OMP_NUM_THREADS", "")) or available_cores()


def given_threads() -> int:
    """Return the number of threads that the user has set by OMP_NUM_THREADS, 0 if the user has set none."""
    value = os.environ.get("OMP_NUM_THREADS", "")
    return _number(GIVEN_THREADS if [value] == _written else value)


def started_threads() -> int:
    """Return the number of threads that MXNet started with, 0 if it was imported before this package."""
    return _number(GIVEN_THREADS or "".join(_written))


def write_threads(count: int) -> None:
    """Set OMP_NUM_THREADS, for the processes that this one starts."""
    os.environ["OMP_NUM_THREADS"] = str(count)
    _written[:] = [str(count)]


def _number(value: str) -> int:
    """Return the first number of OMP_NUM_THREADS, which may be a list for nested regions; 0 if there is none."""
    first = value.split(",")[0].strip()
    return int(first) if first.isdecimal() else 0
