"""Skin of an identity, painted in texture space: colour, brows, growth of the beard, wrinkles.

Lengths along the face are in dm of the template, noise cells and strokes in texels. A mean and a
standard deviation stand for a normal distribution.
"""

from __future__ import annotations

import math
from typing import Any, Callable, Dict, Sequence, Tuple

import cv2
import numpy as np

from arcface_mx.data.rendered import uv_map
from arcface_mx.data.rendered.colours import Colours
from arcface_mx.data.rendered.head import CHEEK, CHIN, FOREHEAD, NOSE, Head, blob
from arcface_mx.data.rendered.sampling import Stream, clipped, noise, smooth_step

# Channels of the texture.
RED, GREEN, BLUE, BROW, BEARD, MOUSTACHE, BUMP_U, BUMP_V, SPOTS = range(9)
CHANNELS = 9
SIZE = (uv_map.HEIGHT, uv_map.WIDTH)
# Absorption of melanin and of blood in red, green, blue.
MELANIN_ABSORBS, BLOOD_ABSORBS = (0.68, 0.95, 1.12), (0.05, 0.50, 0.42)
MOLES = 1.2  # mean number
WRINKLE_DEPTH, PORE_DEPTH = 2.7, 0.10

Point = Tuple[float, float, float]  # on the template
Furrow = Callable[[Sequence[Point], float, float], None]


def paint_skin(head: Head, colours: Colours, male: float, rng: Stream) -> np.ndarray:
    """The texture of one identity, (H, W, 9) float32."""
    texture = np.zeros(SIZE + (CHANNELS,), np.float32)
    texture[..., :3] = _skin_colour(head, colours, rng)
    texture[..., BROW] = _brows(head, male, rng)
    texture[..., BEARD], texture[..., MOUSTACHE] = _beard(head, rng)
    relief = _wrinkles(rng) * WRINKLE_DEPTH + PORE_DEPTH * (0.35 * noise(rng, SIZE, 3) + 0.25 * noise(rng, SIZE, 18))
    texture[..., BUMP_U] = cv2.Sobel(relief, cv2.CV_32F, 1, 0, ksize=3) / 4
    texture[..., BUMP_V] = -cv2.Sobel(relief, cv2.CV_32F, 0, 1, ksize=3) / 4
    texture[..., SPOTS] = _age_spots(rng)
    return texture


def _skin_colour(head: Head, colours: Colours, rng: Stream) -> np.ndarray:
    x, y = np.abs(head.map_x), head.map_y
    melanin = 0.05 * noise(rng, SIZE, 90, 2) + 0.02 * noise(rng, SIZE, 18, 2)
    melanin += rng.normal(0.17, 0.07) * blob(x, y, (0.30, 7.17), (0.17, 0.06))  # under the eyes
    melanin += rng.normal(0.20, 0.09) * blob(x, y, (0.31, 7.33), (0.20, 0.07))  # lids
    melanin -= 0.03 * blob(x, y, *FOREHEAD)
    blood = 0.05 * noise(rng, SIZE, 40, 2)
    blood += rng.normal(0.10, 0.06) * blob(x, y, *CHEEK)
    blood += rng.normal(0.10, 0.06) * blob(x, y, *NOSE)
    blood += rng.normal(0.06, 0.04) * blob(x, y, *CHIN)
    freckles = max(0.0, rng.normal(-0.25, 0.5)) * (1 - colours.melanin)
    if freckles > 0:
        melanin += 0.7 * freckles * smooth_step(1.0, 1.8, noise(rng, SIZE, 5)) * blob(x, y, (0.25, 7.0), (0.4, 0.3))
    melanin += _moles(rng)
    absorbed: Any = melanin[..., None] * np.asarray(MELANIN_ABSORBS, np.float32)
    absorbed += blood[..., None] * np.asarray(BLOOD_ABSORBS, np.float32)
    return colours.skin.astype(np.float32) * np.exp(-absorbed)


def _moles(rng: Stream) -> np.ndarray:
    spots = np.zeros(SIZE, np.float32)
    for _ in range(rng.poisson(MOLES)):
        column, row = _texel(rng.uniform(-1.0, 1.0), rng.uniform(6.25, 7.9))
        radius, depth = rng.uniform(0.8, 1.8), rng.uniform(0.3, 0.9)
        x0, y0 = int(column) - 6, int(row) - 6
        yy, xx = np.mgrid[y0 : y0 + 13, x0 : x0 + 13]
        spot = depth * np.exp(-((xx - column) ** 2 + (yy - row) ** 2) / radius**2)
        spots[y0 : y0 + 13, x0 : x0 + 13] = np.maximum(spots[y0 : y0 + 13, x0 : x0 + 13], spot)
    return spots


def _brows(head: Head, male: float, rng: Stream) -> np.ndarray:
    x, y = np.abs(head.map_x), head.map_y
    height, arch = rng.normal(7.415, 0.022), rng.normal(0.018, 0.020)
    thickness = clipped(rng, 0.030 + 0.016 * male, 0.010, 0.014, 0.065)
    inner, outer = clipped(rng, 0.115, 0.025, 0.04, 0.20), clipped(rng, 0.55, 0.035, 0.44, 0.64)
    slope, peak, density = rng.normal(-0.05, 0.06), rng.uniform(0.55, 0.8), clipped(rng, 0.68, 0.18, 0.25, 1.0)
    along = (x - inner) / (outer - inner)  # 0 at the inner end, 1 at the outer
    centre = height + slope * (x - 0.3) + arch * (1 - ((along - peak) / 0.62) ** 2)
    width = thickness * np.clip(1.15 - 0.75 * np.clip((along - 0.45) / 0.55, 0, 1), 0.1, 2)
    width = width * smooth_step(-0.08, 0.18, along)
    away = (np.abs(y - centre) + 0.002 * noise(rng, SIZE, 3)) / np.maximum(width, 1e-3)
    brow = density * (1 - smooth_step(0.5, 1.2, away)) * smooth_step(-0.05, 0.12, along)
    brow = brow * (1 - smooth_step(0.9, 1.06, along)) * (head.map_z > 0.2) * (y > 7.2)
    brow = brow * np.clip(0.95 + 0.07 * noise(rng, SIZE, 2.2), 0.3, 1.15)
    if rng.random() < 0.12:  # brows that meet
        brow = np.maximum(brow, 0.45 * rng.random() * blob(x, y, (0.0, height), (0.1, 0.04)))
    return brow


def _beard(head: Head, rng: Stream) -> Tuple[np.ndarray, np.ndarray]:
    """Where hair grows on the jaw and on the upper lip. `look` draws how much of it shows."""
    x, y = np.abs(head.map_x), head.map_y
    theta, rows = np.abs(uv_map.texel_angles()), uv_map.texel_heights()
    thinness = np.clip(0.85 + 0.13 * noise(rng, SIZE, 2.2) + 0.10 * noise(rng, SIZE, 25), 0, 1.2)
    top = 6.62 + rng.normal(0.0, 0.06) + 0.75 * smooth_step(0.45, 1.1, theta)
    jaw = (1 - smooth_step(top - 0.20, top + 0.10, y + 0.03 * noise(rng, SIZE, 14))) * smooth_step(5.95, 6.12, rows)
    jaw = jaw * (1 - smooth_step(1.35, 1.6, theta)) * thinness * (1 - 0.5 * blob(x, y, (0, 6.46), (0.09, 0.05)))
    jaw = jaw * (1 - 0.3 * blob(x, y, (0, 6.62), (0.27, 0.10)))
    middle, width = rng.normal(6.775, 0.012), rng.uniform(0.045, 0.065)
    lip = np.exp(-((np.abs(y - middle + 0.10 * np.clip(x - 0.08, 0, 1)) / width) ** 2.5))
    return jaw, lip * (1 - smooth_step(0.22, 0.33, x)) * thinness * (head.map_z > 1)


def _wrinkles(rng: Stream) -> np.ndarray:
    """Depth of the furrows at full age, (H, W) float32, at most 0."""
    layers: Dict[float, np.ndarray] = {}

    def furrow(points: Sequence[Point], width: float, depth: float) -> None:
        layer = layers.setdefault(width, np.zeros(SIZE, np.float32))
        line = [_texel(math.atan2(x, z - uv_map.AXIS_Z), y) for x, y, z in points]
        cv2.polylines(layer, [np.round(line).astype(np.int32)], False, (float(depth),), 1)

    _forehead_lines(rng, furrow)
    for side in (-1, 1):
        _side_lines(side, rng, furrow)
    relief = np.zeros(SIZE, np.float32)
    for width, layer in layers.items():
        relief -= cv2.GaussianBlur(layer, (0, 0), width) * width
    return relief


def _forehead_lines(rng: Stream, furrow: Furrow) -> None:
    count = int(rng.integers(2, 6))
    for k in range(count):
        y, wave = 7.66 + 0.32 * k / count + rng.normal(0, 0.02), rng.uniform(0.01, 0.04)
        phase, reach = rng.uniform(0, 6), rng.uniform(0.25, 0.5)
        xs = np.linspace(-reach, reach, 15)
        line = [(x, y + wave * math.sin(phase + x * 6) + 0.08 * x * x, 1.4) for x in xs]
        furrow(line, 2.4, rng.uniform(0.2, 1.1))


def _side_lines(side: int, rng: Stream, furrow: Furrow) -> None:
    six, eight, twelve = (np.linspace(0, 1, count).tolist() for count in (6, 8, 12))
    for k in range(int(rng.integers(2, 5))):  # crow's feet
        y = 7.30 - 0.07 * k + rng.normal(0, 0.01)
        line = [(side * (0.50 + 0.14 * t), y + (0.05 - 0.04 * k) * t, 1.15 - 0.1 * t) for t in six]
        furrow(line, 1.8, rng.uniform(0.2, 1.0))
    nasolabial = [(side * (0.17 + 0.20 * t**0.8), 6.98 - 0.42 * t - 0.04 * t * t, 1.45 - 0.1 * t) for t in twelve]
    furrow(nasolabial, 3.0, rng.uniform(0.5, 1.4))
    droop = [(7.17 - 0.07 * math.sin(t * math.pi) + 0.02 * t) for t in twelve]
    under_eye = [(side * (0.15 + 0.34 * t), y, 1.38 - 0.1 * t) for t, y in zip(twelve, droop)]
    furrow(under_eye, 2.4, rng.uniform(0.2, 0.9))
    mouth_corner = [(side * (0.28 + 0.04 * t), 6.58 - 0.28 * t, 1.35) for t in eight]
    furrow(mouth_corner, 3.0, rng.uniform(0.05, 0.7))
    x = side * rng.uniform(0.04, 0.07)
    between_brows = [(x, 7.42 + 0.16 * t, 1.52) for t in six]
    furrow(between_brows, 2.4, rng.uniform(0, 0.9))


def _age_spots(rng: Stream) -> np.ndarray:
    aside = np.abs(uv_map.texel_angles()) > 0.3
    spots = smooth_step(0.9, 1.7, noise(rng, SIZE, 14, 2)) * (0.4 + 0.6 * aside)
    return spots + 0.35 * np.clip(noise(rng, SIZE, 18), 0, 2)


def _texel(theta: float, y: float) -> Tuple[float, float]:
    """Column and row of a point of the template."""
    return uv_map.u_of(theta) * uv_map.WIDTH, uv_map.v_of(y) * uv_map.HEIGHT
