"""Light: one to three lamps, an ambient term that leans to one side, and white balance."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from arcface_mx.data.rendered.sampling import Stream, clipped

AZIMUTH = (0.8, 1.3)  # deviation of the key lamp and of the others, rad
ELEVATION = (0.55, 0.35)  # mean and deviation, rad: lamps hang above
KEY, FILL = (0.4, 1.2), 0.5  # strength of the key lamp, share of the others
AMBIENT = (0.15, 0.45)
# Colour runs along the red-blue axis only, as daylight and lamps do: independent red, green and
# blue gains make green identities. Deviations of the logarithm of the gain.
LAMP_COLOUR, AMBIENT_COLOUR, WHITE_BALANCE = 0.07, 0.08, 0.06
SHADOWS = 0.75  # share of photos whose key lamp casts them
SHADOW_DEPTH = (0.35, 1.0)


class Light(NamedTuple):
    lamps: np.ndarray  # (L, 6) float32: unit direction towards the lamp, RGB
    ambient: np.ndarray  # (4, 3) float32: constant, and slopes along x, y, z of the normal
    shadow: float  # depth of the key lamp's shadow, 0: none


def draw_light(variety: float, rng: Stream) -> Light:
    """`variety` scales the lamps' angles and the share of shadows: 1 as in news photos."""
    count = 1 + int(rng.integers(0, 3))
    lamps = np.zeros((count, 6), np.float32)
    for k in range(count):
        azimuth = rng.normal(0, AZIMUTH[min(k, 1)]) * variety
        elevation = clipped(rng, ELEVATION[0], ELEVATION[1], -0.5, 1.3)
        lamps[k, :3] = (
            math.sin(azimuth) * math.cos(elevation),
            math.sin(elevation),
            math.cos(azimuth) * math.cos(elevation),
        )
        lamps[k, 3:] = colour_gain(rng, LAMP_COLOUR) * rng.uniform(*KEY) * (1 if k == 0 else FILL)
    base = colour_gain(rng, AMBIENT_COLOUR) * rng.uniform(*AMBIENT)
    ambient = np.zeros((4, 3), np.float32)
    ambient[0] = base
    for axis, mean in ((0, 0.0), (1, 0.15), (2, 0.0)):
        ambient[1 + axis] = base * colour_gain(rng, 0.06) * rng.normal(mean, 0.25)
    shadow = rng.uniform(*SHADOW_DEPTH) if rng.random() < SHADOWS * variety else 0.0
    return Light(lamps, ambient, float(shadow))


def colour_gain(rng: Stream, deviation: float) -> np.ndarray:
    """Gains of red, green, blue: warm or cool, hardly green or purple."""
    warmth, tint = rng.normal(0, deviation), rng.normal(0, deviation * 0.2)
    return np.exp(np.asarray([warmth, tint, -warmth]))
