"""Random numbers: a stream for every identity and every image, and the distributions drawn from.

The key of a stream is (seed, part, identity) or (seed, part, identity, image), so neither the
order of the work nor the number of workers or identities changes a byte.
"""

from __future__ import annotations

from typing import Any, Sequence, Tuple, TypeVar

import cv2
import numpy as np

T = TypeVar("T")
Stream = np.random.Generator

IDENTITY, IMAGE, PAIRS = 1, 2, 3  # what a stream is for: the second number of its key


def identity_stream(seed: int, part: int, identity: int) -> Stream:
    return np.random.default_rng([seed, IDENTITY, part, identity])


def image_stream(seed: int, part: int, identity: int, image: int) -> Stream:
    return np.random.default_rng([seed, IMAGE, part, identity, image])


def pair_stream(seed: int, part: int) -> Stream:
    return np.random.default_rng([seed, PAIRS, part])


def clipped(rng: Stream, mean: float, deviation: float, low: float, high: float) -> float:
    """One draw of N(mean, deviation), clipped to [low, high]."""
    return float(min(max(rng.normal(mean, deviation), low), high))


def log_uniform(rng: Stream, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def weighted_choice(rng: Stream, weighted: Sequence[Tuple[T, float]]) -> T:
    """One of the items, with a probability in proportion to its weight."""
    left = rng.random() * sum(weight for _, weight in weighted)
    for item, weight in weighted:
        left -= weight
        if left < 0:
            return item
    return weighted[-1][0]


def smooth_step(low: Any, high: Any, value: np.ndarray) -> np.ndarray:
    """0 below `low`, 1 above `high`, a smooth cubic between. Both may be arrays."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def noise(rng: Stream, shape: Tuple[int, int], cell: float, octaves: int = 1) -> np.ndarray:
    """Smooth noise (H, W) float32, mean 0, deviation about 1, features `cell` pixels wide."""
    total = np.zeros(shape, np.float32)
    power = 0.0
    for octave in range(octaves):
        size = max(1.5, cell / 2**octave)
        rows, columns = (max(2, int(round(side / size))) + 1 for side in shape)
        grid = rng.standard_normal((rows, columns), dtype=np.float32)
        total += cv2.resize(grid, shape[::-1], interpolation=cv2.INTER_CUBIC) * 0.5**octave
        power += 0.25**octave
    return total / np.float32(np.sqrt(power))
