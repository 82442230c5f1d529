"""Checks of the numbers that builders take. Each raises ValueError and names the argument."""

from __future__ import annotations

import math
from typing import Sequence


def check_positive(name: str, value: float) -> None:
    """`value` must be a finite number above 0."""
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"`{name}` must be a finite number above 0, got {value!r}")


def check_finite(name: str, value: float) -> None:
    """`value` must be neither infinite nor NaN."""
    if not math.isfinite(value):
        raise ValueError(f"`{name}` must be a finite number, got {value!r}")


def check_range(name: str, value: float, low: float, high: float) -> None:
    """`value` must satisfy low <= value < high."""
    if not low <= value < high:
        raise ValueError(f"`{name}` must be at least {low:g} and below {high:g}, got {value!r}")


def check_count(name: str, value: int) -> None:
    """`value` must be a whole number of at least 1."""
    if isinstance(value, bool) or int(value) != value or value < 1:
        raise ValueError(f"`{name}` must be a whole number of at least 1, got {value!r}")


def check_choice(name: str, value: object, choices: Sequence[object]) -> None:
    """`value` must be one of `choices`."""
    if value not in choices:
        raise ValueError(f"`{name}` must be one of {', '.join(map(str, choices))}; got {value!r}")
