"""Random numbers: one independent stream for every person and every photo, and the draws shared by all.

Every draw comes from the stream of (seed, part, person) or (seed, part, person, photo), so that
neither the order of the work nor the number of workers or people changes a byte.
"""

from __future__ import annotations

from typing import Sequence, Tuple, TypeVar, Union

import numpy as np

T = TypeVar("T")
Stream = np.random.Generator

PERSON, PHOTO, PAIRS = 1, 2, 3  # what a stream is for; the second number of its key


def person_stream(seed: int, part: int, person: int) -> Stream:
    return np.random.default_rng([seed, PERSON, part, person])


def photo_stream(seed: int, part: int, person: int, photo: int) -> Stream:
    return np.random.default_rng([seed, PHOTO, part, person, photo])


def pair_stream(seed: int, part: int) -> Stream:
    return np.random.default_rng([seed, PAIRS, part])


def clipped(r: Stream, mean: float, deviation: float, low: float, high: float) -> float:
    """One draw of N(mean, deviation), clipped to [low, high]."""
    return float(min(max(r.normal(mean, deviation), low), high))


def log_uniform(r: Stream, low: float, high: float) -> float:
    return float(np.exp(r.uniform(np.log(low), np.log(high))))


def chosen(r: Stream, weighted: Sequence[Tuple[T, float]]) -> T:
    """One of the items, with probability in proportion to its weight."""
    total = sum(weight for _, weight in weighted)
    left = r.random() * total
    for item, weight in weighted:
        left -= weight
        if left < 0:
            return item
    return weighted[-1][0]


def smooth_step(low: Union[float, np.ndarray], high: Union[float, np.ndarray], value: np.ndarray) -> np.ndarray:
    """0 below `low`, 1 above `high`, a smooth cubic between."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def noise(r: Stream, shape: Tuple[int, int], cell: float, octaves: int = 1) -> np.ndarray:
    """Smooth noise, mean 0, deviation about 1, features `cell` pixels wide. (H, W) float32."""
    import cv2

    total = np.zeros(shape, np.float32)
    power = 0.0
    for octave in range(octaves):
        size = max(1.5, cell / 2**octave)
        rows, columns = (max(2, int(round(side / size))) + 1 for side in shape)
        grid = r.standard_normal((rows, columns), dtype=np.float32)
        total += cv2.resize(grid, shape[::-1], interpolation=cv2.INTER_CUBIC) * 0.5**octave
        power += 0.25**octave
    return total / np.float32(np.sqrt(power))
