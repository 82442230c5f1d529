"""A identity's geometry: macro targets (sex, ancestry, build, age) and local ones (parts of the face)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from arcface_mx.data.rendered.head import Head
from arcface_mx.data.rendered.sampling import Stream, clipped

ANCESTRIES = ("african", "asian", "caucasian")
# Dirichlet weights below 1: most identities are near one corner, some are mixed.
ANCESTRY_WEIGHTS = (0.33, 0.35, 0.50)
# Beta(0.35, 0.35): faces lean to one sex, some are between. Clipped: the ends are caricatures.
SEX_SHAPE, SEX_CLIP = 0.35, 0.04

# Standard deviation of the local coefficients (the targets' own range is ±1): the first prefix
# that fits counts. 0.5 everywhere was visibly caricatured; asymmetry is small in real faces.
LOCAL_DEVIATION = (
    ("asym", 0.13),
    ("ear", 0.35),
    ("neck-trans-out", 0.08),
    ("neck", 0.30),
    ("head-scale", 0.22),
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
    ("", 0.36),  # chin, cheek, forehead, eyebrows
)
SIDE_DEVIATION = 0.07  # left and right share a coefficient but for this
# The `universal` weight targets hardly move the face: weight acts through these.
WEIGHT_ROWS = ("head-fat-incr", "l-cheek-volume-incr", "r-cheek-volume-incr", "neck-double-incr")
YOUNG, OLD = 25.0, 90.0  # years at which the young and old targets stand


class Shape(NamedTuple):
    """Vertices of one identity, each (3V,) float32, dm, the skull's mean at the origin."""

    young: np.ndarray  # at 25 years
    old: np.ndarray  # at 90 years
    heavier: np.ndarray  # displacement, one unit of weight
    aged: np.ndarray  # displacement, one unit of MakeHuman's own ageing of the head
    male: float  # 0 female … 1 male
    ancestry: np.ndarray  # (3,) african, asian, caucasian; sums to 1


def draw_shape(head: Head, rng: Stream) -> Shape:
    male = clipped_beta(rng)
    ancestry = rng.dirichlet(ANCESTRY_WEIGHTS)
    muscle = clipped(rng, 0.1 * (male - 0.5), 0.30, -0.8, 0.8)
    weight = clipped(rng, 0.0, 0.38, -0.9, 0.95)
    coefficients = _local_coefficients(head, rng)
    base = head.vertices.ravel() + np.maximum(coefficients, 0) @ head.positive
    base = base + np.maximum(-coefficients, 0) @ head.negative
    young, old = (base + macro_shape(head, male, ancestry, muscle, weight, age) for age in ("young", "old"))
    heavy_rows = [k for k, name in enumerate(head.row_names) if name in WEIGHT_ROWS]
    heavier = head.positive[heavy_rows].sum(0) * np.float32(0.8)
    aged = head.positive[head.row_names.index("head-age-incr")]
    young, old, heavier, aged = (_centred(head, points) for points in (young, old, heavier, aged))
    return Shape(young, old, heavier, aged, male, ancestry)


def clipped_beta(rng: Stream) -> float:
    return float(np.clip(rng.beta(SEX_SHAPE, SEX_SHAPE), SEX_CLIP, 1 - SEX_CLIP))


def macro_shape(head: Head, male: float, ancestry: np.ndarray, muscle: float, weight: float, age: str) -> np.ndarray:
    """One full set of macro weights, summing to 1 within each kind: displacement (3V,)."""
    total = np.zeros(head.count * 3, np.float32)
    muscles = {"minmuscle": max(0, -muscle), "averagemuscle": 1 - abs(muscle), "maxmuscle": max(0, muscle)}
    weights = {"minweight": max(0, -weight), "averageweight": 1 - abs(weight), "maxweight": max(0, weight)}
    for sex, share in (("male", male), ("female", 1 - male)):
        for name, part in zip(ANCESTRIES, ancestry):
            total += np.float32(share * part) * head.macro[f"{name}-{sex}-{age}"]
        for muscle_name, a in muscles.items():
            for weight_name, b in weights.items():
                if share * a * b > 1e-3:
                    name = f"universal-{sex}-{age}-{muscle_name}-{weight_name}"
                    total += np.float32(share * a * b) * head.macro[name]
    return total


def at_age(shape: Shape, age: float, rate: float, weight_change: float) -> np.ndarray:
    """Vertices (3V,) at `age` years; `rate` 1 is average ageing."""
    old = np.float32(np.clip((age - YOUNG) / (OLD - YOUNG), -0.1, 1) * rate)
    own = np.float32(0.6 * np.clip((age - 40) / 40, -0.3, 0.8))
    return shape.young * (1 - old) + shape.old * old + shape.heavier * np.float32(weight_change) + shape.aged * own


def _local_coefficients(head: Head, rng: Stream) -> np.ndarray:
    groups: dict = {}
    paired = np.asarray([name[2:] if name[:2] in ("l-", "r-") else name for name in head.row_names])
    for name in paired:
        groups.setdefault(str(name), len(groups))
    deviations = np.asarray([_deviation(name) for name in groups])
    draws = np.clip(rng.standard_normal(len(groups)) * deviations, -1, 1)
    own = draws[[groups[str(name)] for name in paired]]
    sided = np.asarray([name[:2] in ("l-", "r-") for name in head.row_names])
    own = own + sided * rng.normal(0, SIDE_DEVIATION, len(own))
    one_sign = ~head.negative.any(axis=1)
    return np.where(one_sign, np.maximum(own, 0), own).astype(np.float32)


def _deviation(name: str) -> float:
    return next(value for prefix, value in LOCAL_DEVIATION if name.startswith(prefix))


def _centred(head: Head, flat: np.ndarray) -> np.ndarray:
    # Every target of the body also lifts the head; the skull stays where it is.
    points = flat.reshape(-1, 3)
    return (points - points[head.skull].mean(0)).astype(np.float32).ravel()
