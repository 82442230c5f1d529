"""Shape: the geometry of an identity, from macro targets (sex, age, …) and local targets."""

from __future__ import annotations

from typing import NamedTuple, Tuple

import numpy as np

from arcface_mx.data.rendered.head import Head
from arcface_mx.data.rendered.sampling import Stream, clipped

ANCESTRIES = ("african", "asian", "caucasian")
# Dirichlet weights below 1: most identities are near one corner, some are mixed.
ANCESTRY_WEIGHTS = (0.33, 0.35, 0.50)
# Beta(0.35, 0.35): most faces lean to one sex, some are between. The clipped ends are caricatures.
SEX_BETA, SEX_CLIP = 0.35, 0.04

# Standard deviation of the local coefficients, whose own range is ±1: the first prefix that fits
# counts. 0.5 for all looked like caricatures. Real faces have a small asymmetry.
LOCAL_DEVIATION = (
    ("asym", 0.13),
    ("ear", 0.35),
    ("neck-trans-out", 0.08),
    ("neck", 0.30),
    ("head", 0.22),
    ("forehead", 0.22),
    ("nose-trans-out", 0.08),  # sideways
    ("nose-trans", 0.25),
    ("nose-compression", 0.33),
    ("nose", 0.38),
    ("eye-trans", 0.30),
    ("eye-", 0.36),
    ("mouth-trans-out", 0.08),
    ("mouth-trans", 0.22),
    ("mouth", 0.32),
    ("", 0.36),  # chin, cheek, eyebrows
)
SIDE_DEVIATION = 0.07  # standard deviation between the left and the right side's coefficient
YOUNG, OLD = 25.0, 90.0  # ages of the young and the old targets, years


class Shape(NamedTuple):
    """Vertices of one identity, each (3V,) float32, dm. The mean of the skull is the origin."""

    young: np.ndarray  # at 25 years
    old: np.ndarray  # at 90 years
    male: float  # 0 female … 1 male
    ancestry: np.ndarray  # (3,) african, asian, caucasian; sums to 1


def draw_shape(head: Head, rng: Stream) -> Shape:
    male = float(np.clip(rng.beta(SEX_BETA, SEX_BETA), SEX_CLIP, 1 - SEX_CLIP))
    ancestry = rng.dirichlet(ANCESTRY_WEIGHTS)
    muscle = clipped(rng, 0.1 * (male - 0.5), 0.30, -0.8, 0.8)
    weight = clipped(rng, 0.0, 0.38, -0.9, 0.95)
    coefficients = _local_coefficients(head, rng)
    base = head.vertices.ravel() + np.maximum(coefficients, 0) @ head.positive
    base = base + np.maximum(-coefficients, 0) @ head.negative
    young, old = (base + _macro_shape(head, male, ancestry, (muscle, weight), age) for age in ("young", "old"))
    return Shape(head.centred(young), head.centred(old), male, ancestry)


def _macro_shape(head: Head, male: float, ancestry: np.ndarray, build: Tuple[float, float], age: str) -> np.ndarray:
    """Displacement (3V,) of the macro targets, whose weights sum to 1 within each kind."""
    total = np.zeros(head.count * 3, np.float32)
    muscles, weights = (
        {"min" + part: max(0, -value), "average" + part: 1 - abs(value), "max" + part: max(0, value)}
        for part, value in zip(("muscle", "weight"), build)
    )
    for sex, share in (("male", male), ("female", 1 - male)):
        for name, part in zip(ANCESTRIES, ancestry):
            total += np.float32(share * part) * head.macro[f"{name}-{sex}-{age}"]
        for muscle, a in muscles.items():
            for weight, b in weights.items():
                if share * a * b > 1e-3:
                    total += np.float32(share * a * b) * head.macro[f"universal-{sex}-{age}-{muscle}-{weight}"]
    return total


def at_age(head: Head, shape: Shape, age: float, rate: float, weight: float) -> np.ndarray:
    """Vertices (3V,) at `age` years. `rate` 1 is average; `weight` is in units of `Head.heavier`."""
    old = np.float32(np.clip((age - YOUNG) / (OLD - YOUNG), -0.1, 1) * rate)
    aged = np.float32(0.6 * np.clip((age - 40) / 40, -0.3, 0.8))
    return shape.young * (1 - old) + shape.old * old + head.heavier * np.float32(weight) + head.aged * aged


def _local_coefficients(head: Head, rng: Stream) -> np.ndarray:
    """One coefficient a row, (R,) float32. The left and the right row of a part share a draw."""
    sided = np.asarray([name.startswith(("l-", "r-")) for name in head.row_names])
    parts = [name[2:] if side else name for name, side in zip(head.row_names, sided)]
    groups = {part: number for number, part in enumerate(dict.fromkeys(parts))}
    deviations = np.asarray([_deviation(part) for part in groups])
    draws = np.clip(rng.standard_normal(len(groups)) * deviations, -1, 1)
    coefficients = draws[[groups[part] for part in parts]]
    coefficients = coefficients + sided * rng.normal(0, SIDE_DEVIATION, len(parts))
    one_sign = ~head.negative.any(axis=1)
    return np.where(one_sign, np.maximum(coefficients, 0), coefficients).astype(np.float32)


def _deviation(name: str) -> float:
    return next(value for prefix, value in LOCAL_DEVIATION if name.startswith(prefix))
