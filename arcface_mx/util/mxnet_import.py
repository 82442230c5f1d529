"""What happens at `import mxnet`: check that it can work, and load CUDA's libraries for the GPU build."""

from __future__ import annotations

import glob
import os
import re
import sys
from importlib.machinery import PathFinder
from typing import Any, Optional

from arcface_mx.util.cuda import DRIVER, preload_libraries, wheel_of
from arcface_mx.util.errors import UserError
from arcface_mx.util.system_libraries import LIBRARIES, install_command, missing_libraries

OLDEST_PYTHON, NEWEST_PYTHON = (3, 8), (3, 13)
CPU_BUILD, GPU_BUILD = "pip install 'arcface-mx[cpu]'", "pip install 'arcface-mx[gpu]'"

# The builds share the folder mxnet/, so one is removed before the other is installed.
TO_CPU, TO_GPU = f"pip uninstall -y mxnet-cu117 && {CPU_BUILD}", f"pip uninstall -y mxnet && {GPU_BUILD}"


class MXNetMissing(UserError, ImportError):
    """MXNet is not installed, or it cannot work with this Python or NumPy."""


class MXNetFinder:
    """An entry of `sys.meta_path` that prepares `import mxnet` and leaves the import itself to Python."""

    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> None:
        """Prepare the import if it is that of mxnet. Raises MXNetMissing if it cannot succeed."""
        if name != "mxnet":
            return
        check_versions()
        spec = PathFinder.find_spec(name)
        if spec is None or not spec.origin:
            raise MXNetMissing(
                f"MXNet is not installed in {sys.prefix}. Run: {CPU_BUILD} for a CPU, or {GPU_BUILD} for NVIDIA GPUs"
            )
        if is_gpu_build(os.path.dirname(spec.origin)):
            preload_libraries()


def prepare_import() -> None:
    """Let `MXNetFinder` see imports."""
    if MXNetFinder not in sys.meta_path:
        sys.meta_path.insert(0, MXNetFinder)  # type: ignore[arg-type]


def is_gpu_build(folder: str) -> bool:
    """Return whether the mxnet in this folder was installed by a wheel for GPUs."""
    return bool(glob.glob(os.path.join(glob.escape(os.path.dirname(folder)), "mxnet_cu*.dist-info")))


def check_versions() -> None:
    """Raise MXNetMissing if MXNet 1.9.1 cannot work with this Python or NumPy."""
    if not OLDEST_PYTHON <= sys.version_info[:2] <= NEWEST_PYTHON:
        oldest, newest, this = (
            ".".join(map(str, version)) for version in (OLDEST_PYTHON, NEWEST_PYTHON, sys.version_info[:2])
        )
        raise MXNetMissing(
            f"arcface-mx runs on Python {oldest} to {newest}; this is {this} ({sys.executable}). "
            "Make a virtual environment with one of those (3.10 to 3.12 install fastest)."
        )
    import numpy

    if int(numpy.__version__.split(".")[0]) >= 2:
        raise MXNetMissing(
            "arcface-mx needs numpy < 2 because MXNet 1.9.1 does; this is "
            f"numpy {numpy.__version__}. Run: pip install 'numpy<2'"
        )


def explain(error: BaseException) -> Optional[str]:
    """Return what to do about a library that the loader did not find, None for any other error."""
    match = re.search(r"(lib[^\s/:]+\.so[.\d]*): cannot open shared object file", str(error))
    if not match:
        return None
    name = match.group(1)
    if name in LIBRARIES:
        names = missing_libraries() or [name]
        return f"the system lacks {', '.join(names)}. Run as root: {install_command(names)}"
    if name == DRIVER:
        return (
            f"{name} is missing: mxnet is a GPU build and NVIDIA's driver is not installed. Install it, or {CPU_BUILD}"
        )
    if wheel_of(name):
        return f"{name} is missing: mxnet is a GPU build and needs {wheel_of(name)}. Run: {GPU_BUILD}"
    return f"the system lacks {name}"
