"""What must happen before `import mxnet`: numpy's alias, thread count, version checks.

MXNet 1.9.1 was released for numpy < 1.24 and takes half of the machine's cores by default.
"""

from __future__ import annotations

import os
import sys

OLDEST_PYTHON, NEWEST_PYTHON = (3, 8), (3, 13)


def available_cores() -> int:
    """Number of cores in this process's affinity mask."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def num_threads() -> int:
    """Threads that computing may use: OMP_NUM_THREADS, else one a core."""
    stated = os.environ.get("OMP_NUM_THREADS", "")
    return int(stated) if stated.isdecimal() and int(stated) else available_cores()


def _check_python() -> None:
    if not OLDEST_PYTHON <= sys.version_info[:2] <= NEWEST_PYTHON:
        raise ImportError(
            "arcface-mx runs on Python %d.%d to %d.%d; this is %d.%d (%s). "
            "Make a virtual environment with one of those (3.10 to 3.12 install fastest)."
            % (*OLDEST_PYTHON, *NEWEST_PYTHON, *sys.version_info[:2], sys.executable)
        )


def _prepare_numpy() -> None:
    import numpy

    if int(numpy.__version__.split(".")[0]) >= 2:
        raise ImportError(
            f"arcface-mx needs numpy < 2 because MXNet 1.9.1 does; found numpy {numpy.__version__}. Run: pip install 'numpy<2'"
        )
    # mxnet/numpy/utils.py reads np.bool while it is imported; numpy 1.24 removed the name.
    if "bool" not in numpy.__dict__:
        numpy.bool = bool  # type: ignore[attr-defined]


def prepare() -> None:
    """Make `import mxnet` work and use all cores. Settings the user made are left alone."""
    _check_python()
    # What a stranger's image may ask for, whatever its kind (OpenCV's own limit is four times that).
    os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(1 << 28))
    if "mxnet" not in sys.modules:
        os.environ.setdefault("OMP_NUM_THREADS", str(available_cores()))
        # Without it the oneDNN graph pass runs, which breaks some published models ("We can't
        # generate TBlob for MKLDNN data") and gains 3 %. "default" is MXNet's pass that does
        # nothing ("NONE" is the same, with a line on stderr at every bind).
        os.environ.setdefault("MXNET_SUBGRAPH_BACKEND", "default")
        os.environ.setdefault("MXNET_SUBGRAPH_VERBOSE", "0")
        # Momentum stays beside the parameters, where a checkpoint reaches it.
        os.environ.setdefault("MXNET_UPDATE_ON_KVSTORE", "0")
    _prepare_numpy()
