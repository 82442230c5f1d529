"""Checks of the numbers that builders take: each raises ValueError and names the argument."""

from __future__ import annotations

import math
from typing import Sequence


def check_positive(name: str, value: float) -> None:
    """`value` is a finite number above 0."""
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"{name} is {value!r}; it must be a finite number above 0")


def check_finite(name: str, value: float) -> None:
    """`value` is neither infinite nor NaN."""
    if not math.isfinite(value):
        raise ValueError(f"{name} is {value!r}; it must be a finite number")


def check_range(name: str, value: float, low: float, high: float) -> None:
    """low <= value < high."""
    if not low <= value < high:
        raise ValueError(f"{name} is {value!r}; it must be at least {low:g} and below {high:g}")


def check_count(name: str, value: int) -> None:
    """`value` is a whole number, at least 1."""
    if isinstance(value, bool) or int(value) != value or value < 1:
        raise ValueError(f"{name} is {value!r}; it must be a whole number, at least 1")


def check_choice(name: str, value: object, choices: Sequence[object]) -> None:
    """`value` is one of `choices`."""
    if value not in choices:
        raise ValueError(f"{name} is {value!r}; choose one of: {', '.join(map(str, choices))}")
