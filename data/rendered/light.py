"""Light: one to three lamps, an ambient term that leans to one side, and white balance."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from arcface_mx.data.rendered.sampling import Stream, clipped

AZIMUTH = (0.8, 1.3)  # standard deviation for the key lamp and for the others, rad
ELEVATION = (0.55, 0.35)  # mean and standard deviation, rad: lamps hang above the head
KEY, FILL = (0.4, 1.2), 0.5  # strength of the key lamp, share of it for the others
AMBIENT = (0.15, 0.45)
# Colours run along the red-blue axis only, as those of daylight and lamps do: independent gains of
# red, green and blue give green faces. Standard deviations of the logarithm of the gain.
LAMP_COLOUR, AMBIENT_COLOUR, WHITE_BALANCE = 0.07, 0.08, 0.06
SHADOWS = 0.75  # share of images whose key lamp casts shadows
SHADOW_STRENGTH = (0.35, 1.0)


class Light(NamedTuple):
    """Lamps and ambient light in the camera's frame, linear RGB."""

    lamps: np.ndarray  # (L, 6) float32: unit vector towards the lamp, RGB; the key lamp is first
    ambient: np.ndarray  # (4, 3) float32: constant RGB, and its slopes along x, y, z of the normal
    shadow: float  # strength of the key lamp's shadow, 0…1


def draw_light(variety: float, rng: Stream) -> Light:
    """Draw the light. `variety` scales angles and share of shadows; 1 is that of news photographs."""
    lamps = np.zeros((1 + int(rng.integers(0, 3)), 6), np.float32)
    for k, lamp in enumerate(lamps):
        azimuth = rng.normal(0, AZIMUTH[min(k, 1)]) * variety
        elevation = clipped(rng, ELEVATION[0], ELEVATION[1], -0.5, 1.3)
        level = math.cos(elevation)
        lamp[:3] = math.sin(azimuth) * level, math.sin(elevation), math.cos(azimuth) * level
        lamp[3:] = colour_gain(rng, LAMP_COLOUR) * rng.uniform(*KEY) * (1 if k == 0 else FILL)
    base = colour_gain(rng, AMBIENT_COLOUR) * rng.uniform(*AMBIENT)
    slopes = [base * colour_gain(rng, 0.06) * rng.normal(mean, 0.25) for mean in (0.0, 0.15, 0.0)]
    shadow = rng.uniform(*SHADOW_STRENGTH) if rng.random() < SHADOWS * variety else 0.0
    return Light(lamps, np.asarray([base, *slopes], np.float32), float(shadow))


def colour_gain(rng: Stream, deviation: float) -> np.ndarray:
    """Gains (3,) of red, green and blue: warm or cool, hardly green or purple."""
    warmth, tint = rng.normal(0, deviation), rng.normal(0, deviation * 0.2)
    return np.exp(np.asarray([warmth, tint, -warmth]))
