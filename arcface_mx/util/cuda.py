"""What the CUDA libraries say about this machine's cards. MXNet does not tell it, so they are asked by ctypes."""

from __future__ import annotations

import ctypes
from typing import Any, List

NVRTC = "libnvrtc.so.11.2"  # the compiler that libmxnet.so of mxnet-cu117 is linked to, in any release from 11.2 on
MAJOR, MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_…


def fusion_works() -> bool:
    """Return whether MXNet's pointwise fusion can compile and load its kernels on every card.

    MXNet compiles them at run time for the card's own architecture, and ends the run if that fails.
    NVRTC 11.7 does not know compute capability 8.9 (L4, RTX 4090), and a driver older than NVRTC does
    not load what it writes.
    """
    try:
        driver, compiler = ctypes.CDLL("libcuda.so.1"), ctypes.CDLL(NVRTC)
        major, minor = ctypes.c_int(), ctypes.c_int()
        _call(compiler.nvrtcVersion, ctypes.byref(major), ctypes.byref(minor))
        _call(driver.cuInit, 0)
        if _number(driver.cuDriverGetVersion) < 1000 * major.value + 10 * minor.value:
            return False
        cards = [_architecture(driver, card) for card in range(_number(driver.cuDeviceGetCount))]
    except (OSError, AttributeError):
        return False
    return set(cards) <= set(_known_architectures(compiler))


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
