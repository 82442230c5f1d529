"""Which device holds which classes, and which number a label has there. NumPy only, no MXNet.

Device k of D holds the classes first to last − 1 of an even, contiguous split. It receives each label
as a number from 0 to last − first − 1, or −1 for a class that it does not hold. Labels are float32,
exact up to 2²⁴, so this limits the classes of a device and not those of a run.
"""

from __future__ import annotations

from typing import List, Sequence, Tuple

import numpy as np

from arcface_mx.util.errors import UserError

ELSEWHERE = -1  # label of a sample whose class another device holds
EXACT_IN_FLOAT32 = 1 << 24

Range = Tuple[int, int]


class TooManyNumbers(UserError):
    """More classes or logits than MXNet 1.9.1 can count; `limit` is "labels", "one array" or "logits"."""

    def __init__(self, limit: str, message: str) -> None:
        super().__init__(message)
        self.limit = limit


def class_ranges(num_classes: int, devices: int) -> List[Range]:
    """Return (first, last + 1) of each device; sizes differ by at most one.

    Raises UserError if a device would hold no class, or more than float32 can number.
    """
    if num_classes < devices:
        raise UserError(
            f"`parallel` centres: {num_classes} classes do not fill {devices} devices; give fewer `devices`"
        )
    size, longer = divmod(num_classes, devices)
    bounds = [device * size + min(device, longer) for device in range(devices + 1)]
    if size + bool(longer) > EXACT_IN_FLOAT32:
        needed = -(-num_classes // EXACT_IN_FLOAT32)
        raise TooManyNumbers(
            "labels",
            f"`parallel` centres: {size + bool(longer)} classes on each of {devices} devices; a device "
            f"numbers at most {EXACT_IN_FLOAT32} (float32): give {needed} devices or more",
        )
    return list(zip(bounds[:-1], bounds[1:]))


def local_labels(labels: np.ndarray, held: Range) -> np.ndarray:
    """Return labels, shape (N,), as the device with the classes `held` numbers them."""
    inside = (labels >= held[0]) & (labels < held[1])
    return np.where(inside, labels - held[0], ELSEWHERE)


def check_labels(labels: np.ndarray, num_classes: int) -> None:
    """Raise UserError if a label is not in 0 to n − 1. MXNet would train with a wrong class and report nothing."""
    wrong = np.flatnonzero((labels < 0) | (labels >= num_classes))
    if len(wrong):
        raise UserError(
            f"row {wrong[0]} of the batch has label {labels[wrong[0]]}, but there are {num_classes} "
            f"classes (0 to {num_classes - 1}); check the data with: arcface-mx data check"
        )


def row_ranges(held: Sequence[Range], rows_a_class: int) -> List[Range]:
    """Return the rows of a parameter with `rows_a_class` rows for each class."""
    return [(first * rows_a_class, last * rows_a_class) for first, last in held]
