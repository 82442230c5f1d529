"""Kernels: how numba compiles them, and the vector functions that they share.

Kernels run in one thread. In their loops, an array inside a tuple costs a reference count at each
use, so they unpack tuples of arrays first and hand on tuples of numbers only.
"""

from __future__ import annotations

import glob
import math
import os
from typing import Any, Callable

from arcface_mx.util.errors import UserError
from arcface_mx.util.files import cache_folder, fingerprint
from arcface_mx.util.private import make_private, refuse_foreign, remove_unused, touch

try:
    import numba
except ImportError:
    raise UserError("numba is not installed, rendering needs it; run: pip install 'numba>=0.58,<1'") from None

config: Any = numba.config


def source_fingerprint() -> str:
    """SHA-256 of the source files in this folder, in the order of their names."""
    return fingerprint(*sorted(glob.glob(os.path.join(os.path.dirname(os.path.abspath(__file__)), "*.py"))))


# numba's own cache compares only the file of the kernel: it would run stale helpers from other
# files, and it fails where a type of a cached kernel's arguments has been removed.
_CACHE = os.path.join(config.CACHE_DIR or cache_folder(), f"numba-{source_fingerprint()[:16]}")


def _open_cache() -> None:
    """Make or check the cache, which holds code: nobody else may write to it."""
    is_new = not os.path.exists(_CACHE)
    try:
        make_private(_CACHE, 0o700)
    except OSError:
        return  # numba then chooses another folder of this user, or says what is missing
    if is_new:
        remove_unused(os.path.dirname(_CACHE), "numba-")
    refuse_foreign(_CACHE)
    touch(_CACHE)


_open_cache()


def compiled(function: Callable) -> Any:
    """Decorator: compile a kernel, with a cache that notices changes of any file in this folder."""
    users_folder, config.CACHE_DIR = config.CACHE_DIR, _CACHE
    try:
        # Without fastmath, sums keep their order on every CPU that has the same instructions.
        return numba.njit(nogil=True, error_model="numpy", cache=True)(function)
    finally:
        config.CACHE_DIR = users_folder


def inlined(function: Callable) -> Any:
    """Decorator: compile a helper into the kernels that use it. A call would be much slower."""
    return numba.njit(nogil=True, error_model="numpy", forceinline=True)(function)


@inlined
def step(low, high, value):
    """Smooth step: 0 below low, 1 above high."""
    t = min(max((value - low) / (high - low), 0.0), 1.0)
    return t * t * (3 - 2 * t)


@inlined
def mix(colour, other, share):
    return (
        colour[0] + (other[0] - colour[0]) * share,
        colour[1] + (other[1] - colour[1]) * share,
        colour[2] + (other[2] - colour[2]) * share,
    )


@inlined
def dot(a, b):
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@inlined
def unit(x, y, z):
    """The vector (x, y, z) at length 1."""
    inverse = 1 / (math.sqrt(x * x + y * y + z * z) + 1e-9)
    return x * inverse, y * inverse, z * inverse


@inlined
def interpolate(table, place, k):
    """Column k of a vertex table at a place: (three vertex numbers, three weights)."""
    (a, b, c), weights = place
    return weights[0] * table[a, k] + weights[1] * table[b, k] + weights[2] * table[c, k]


@inlined
def interpolate3(table, place):
    """The three columns of a vertex table at a place in a triangle."""
    return interpolate(table, place, 0), interpolate(table, place, 1), interpolate(table, place, 2)
