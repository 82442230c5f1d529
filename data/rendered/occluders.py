"""Occluders: glasses, a scarf or a hand, drawn on the finished crop."""

from __future__ import annotations

import math
from typing import NamedTuple, Optional

import cv2
import numpy as np

from arcface_mx.data.rendered.pose import SIDE, View, to_crop
from arcface_mx.data.rendered.sampling import Stream

GLASSES, SUNGLASSES = 0.17, 0.10  # share of images with glasses, share of the glasses that are dark
OUTLINE = np.linspace(0, 2 * math.pi, 25)
SUBPIXEL = 3  # fractional bits of coordinates, for anti-aliased drawing by cv2


class Glasses(NamedTuple):
    width: float  # half of a lens, dm
    height: float  # the same
    squareness: float  # exponent of the superellipse: 2 is round, 4 is square
    colour: np.ndarray  # (3,) display values in 0…1
    thickness: int  # of the rim, pixels
    strength: float  # opacity of the rim, 0…1
    tint: float  # darkness of the lenses, 0…1


def draw_glasses(rng: Stream) -> Optional[Glasses]:
    if rng.random() > GLASSES:
        return None
    tone = rng.uniform(0, 0.35)
    colour = np.clip(tone + rng.random(3) * 0.12 * (rng.random() < 0.4), 0, 1)
    dark = rng.random() < SUNGLASSES
    return Glasses(
        width=rng.uniform(0.19, 0.26),
        height=rng.uniform(0.12, 0.20),
        squareness=rng.uniform(2, 4),
        colour=colour,
        thickness=1 if rng.random() < 0.75 else 2,
        strength=rng.uniform(0.35, 0.9),
        tint=rng.uniform(0.5, 0.9) if dark else rng.uniform(0, 0.08),
    )


def add_glasses(image: np.ndarray, glasses: Glasses, view: View) -> np.ndarray:
    """The image with glasses. image (112, 112, 3) float32, display values in 0…1."""
    right, up, forward = view.rotation.T
    middle, half = (view.landmarks[0] + view.landmarks[1]) / 2, (view.landmarks[1] - view.landmarks[0]) / 2
    power = 2 / glasses.squareness
    across = np.sign(np.cos(OUTLINE)) * np.abs(np.cos(OUTLINE)) ** power * glasses.width
    along = np.sign(np.sin(OUTLINE)) * np.abs(np.sin(OUTLINE)) ** power * glasses.height
    rim, lenses = np.zeros((2, SIDE, SIDE), np.float32)

    def stroke(points: np.ndarray, closed: bool) -> None:
        cv2.polylines(rim, [_fixed(to_crop(view, points))], closed, (1.0,), glasses.thickness, cv2.LINE_AA, SUBPIXEL)

    turned = forward[0]  # positive when the face looks to the image's right
    for side in (-1, 1):
        if abs(turned) > 0.75 and turned * side > 0:
            continue  # the nose hides the far lens
        centre = middle + half * side * 1.03 + forward * 0.18 - up * 0.02
        outline = centre + across[:, None] * right + along[:, None] * up
        # The lens wraps around the face.
        outline = outline - forward * (np.clip(across * side, 0, 1)[:, None] * 0.25)
        cv2.fillPoly(lenses, [_fixed(to_crop(view, outline))], (1.0,), cv2.LINE_AA, SUBPIXEL)
        stroke(outline, True)
        if turned * side <= 0.1:  # the temple arm on the visible side
            hinge = middle + half * side * 1.03 + right * (side * glasses.width * 0.98) - forward * 0.07
            stroke(np.stack([hinge, hinge + right * (side * 0.12) - forward * 0.9]), False)
    bridge = forward * 0.23
    stroke(np.stack([middle - half * 0.35 + bridge, middle + half * 0.35 + bridge]), False)
    image = image * (1 - lenses[..., None] * glasses.tint)
    opacity = rim[..., None] * glasses.strength
    return image * (1 - opacity) + glasses.colour.astype(np.float32) * opacity


def add_obstacle(image: np.ndarray, skin: np.ndarray, rng: Stream) -> np.ndarray:
    """The image with a scarf or microphone from below, or a hand from the side.

    image (112, 112, 3) float32, display values in 0…1; skin (3,) linear RGB.
    """
    colour = np.clip(rng.uniform(0.05, 0.85) + rng.normal(0, 0.08, 3), 0, 1)
    mask = np.zeros((SIDE, SIDE), np.float32)
    if rng.random() < 0.5:
        edge, bend = rng.uniform(88, 106), rng.uniform(-8, 8)
        line = [(x, edge + bend * math.sin(x / SIDE * math.pi)) for x in np.linspace(0, SIDE, 9)]
        cv2.fillPoly(mask, [np.round(line + [(SIDE, SIDE), (0, SIDE)]).astype(np.int32)], (1.0,))
    else:
        if rng.random() < 0.6:
            colour = skin ** (1 / 2.2) * rng.uniform(0.6, 1.1)
        x = int(rng.integers(0, 22)) if rng.random() < 0.5 else int(rng.integers(90, SIDE))
        axes = (int(rng.integers(10, 26)), int(rng.integers(14, 40)))
        cv2.ellipse(mask, (x, int(rng.integers(40, SIDE))), axes, float(rng.uniform(0, 180)), 0, 360, (1.0,), -1)
    folds = 0.8 + 0.4 * cv2.resize(rng.random((9, 9), dtype=np.float32), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    soft = cv2.GaussianBlur(mask, (0, 0), 1.0)[..., None]
    return image * (1 - soft) + np.clip(colour.astype(np.float32) * folds[..., None], 0, 1) * soft


def _fixed(points: np.ndarray) -> np.ndarray:
    """Fixed-point coordinates for cv2."""
    return np.round(points * 2**SUBPIXEL).astype(np.int32)
