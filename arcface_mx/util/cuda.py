"""The CUDA libraries: which MXNet needs, how they are loaded, and what they say about this machine's cards."""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import os
from typing import Any, List, Tuple

DRIVER = "libcuda.so.1"
NVRTC = "libnvrtc.so.11.2"  # the compiler that libmxnet.so of mxnet-cu117 is linked to, in any release from 11.2 on
CUBLAS_LT, CUDNN = "libcublasLt.so.11", "libcudnn.so.8"
# The libraries that libmxnet.so of mxnet-cu117 is linked to, beside the driver's, and cuBLAS's own. Each has a folder
# in the package `nvidia`. A library stands below those that it needs.
LIBRARIES = {
    "libcudart.so.11.0": "cuda_runtime",
    NVRTC: "cuda_nvrtc",
    "libnvToolsExt.so.1": "nvtx",
    CUBLAS_LT: "cublas",
    "libcublas.so.11": "cublas",
    "libcufft.so.10": "cufft",
    "libcurand.so.10": "curand",
    "libcusparse.so.11": "cusparse",
    "libcusolver.so.11": "cusolver",
    "libnccl.so.2": "nccl",
    CUDNN: "cudnn",
}
MAJOR, MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_…


def wheel_of(library: str) -> str:
    """Return the name of the wheel that has a library, "" if none is known."""
    folder = LIBRARIES.get(library)
    return f"nvidia-{folder.replace('_', '-')}-cu11" if folder else ""


@functools.lru_cache(maxsize=None)
def preload_libraries() -> Tuple[str, ...]:
    """Load the libraries of the wheels nvidia-*-cu11, so that LD_LIBRARY_PATH need not name their folders.

    When MXNet is loaded afterwards, the loader takes a library that the process has already. A library that
    lies in a folder of LD_LIBRARY_PATH is left to the loader.

    Returns
    -------
    tuple of str
        The paths that were loaded.
    """
    named = [folder for folder in os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep) if folder]
    spec = importlib.util.find_spec("nvidia")
    sites = list(spec.submodule_search_locations or []) if spec else []
    loaded = []
    for library, folder in LIBRARIES.items():
        if any(os.path.exists(os.path.join(place, library)) for place in named):
            continue
        paths = [os.path.join(site, folder, "lib", library) for site in sites]
        for path in filter(os.path.exists, paths):
            ctypes.CDLL(path, mode=ctypes.RTLD_GLOBAL)
            loaded.append(path)
            break
    return tuple(loaded)


def fusion_works() -> bool:
    """Return whether MXNet's pointwise fusion can compile and load its kernels on every card.

    MXNet compiles them at run time for the card's own architecture, and ends the run if that fails.
    NVRTC 11.7 does not know compute capability 8.9 (L4, RTX 4090), and a driver older than NVRTC does
    not load what it writes.
    """
    return not fusion_obstacle()


def fusion_obstacle() -> str:
    """Return why pointwise fusion cannot work on this machine, "" if it can."""
    try:
        compiler, major, minor = ctypes.CDLL(NVRTC), ctypes.c_int(), ctypes.c_int()
        _call(compiler.nvrtcVersion, ctypes.byref(major), ctypes.byref(minor))
        compiler_version = f"NVRTC {major.value}.{minor.value}"
        newest = driver_version()
        if newest < 1000 * major.value + 10 * minor.value:
            return f"the driver is made for CUDA {newest // 1000}.{newest % 1000 // 10}, older than {compiler_version}"
        unknown = set(architectures()) - set(_known_architectures(compiler))
    except (OSError, AttributeError) as error:
        return str(error)
    names = ", ".join(f"{number / 10:.1f}" for number in sorted(unknown))
    return f"{compiler_version} does not know compute capability {names}" if unknown else ""


def driver_version() -> int:
    """Return the newest CUDA that the driver supports, for example 11080 for 11.8. Raises OSError without a driver."""
    driver = ctypes.CDLL(DRIVER)
    _call(driver.cuInit, 0)
    return _number(driver.cuDriverGetVersion)


def architectures() -> List[int]:
    """Return the compute capability of each card, for example 86. Raises OSError without a driver."""
    driver = ctypes.CDLL(DRIVER)
    _call(driver.cuInit, 0)
    return [_architecture(driver, card) for card in range(_number(driver.cuDeviceGetCount))]


def _architecture(driver: Any, card: int) -> int:
    """Return the compute capability of a card, for example 86."""
    handle = ctypes.c_int()
    _call(driver.cuDeviceGet, ctypes.byref(handle), card)
    major, minor = (_number(driver.cuDeviceGetAttribute, attribute, handle) for attribute in (MAJOR, MINOR))
    return 10 * major + minor


def _known_architectures(compiler: Any) -> List[int]:
    architectures = (ctypes.c_int * _number(compiler.nvrtcGetNumSupportedArchs))()
    _call(compiler.nvrtcGetSupportedArchs, architectures)
    return list(architectures)


def _number(function: Any, *arguments: Any) -> int:
    """Call a function that writes its result to its first argument."""
    result = ctypes.c_int()
    _call(function, ctypes.byref(result), *arguments)
    return result.value


def _call(function: Any, *arguments: Any) -> None:
    status = function(*arguments)
    if status:
        raise OSError(f"{function.__name__} failed with status {status}")
