"""Light and shadow: one to three lamps, ambient light, the shadow of the key lamp.

The ambient occlusion of the template is computed once, the shadow map for every image.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from arcface_mx.data.rendered.raster import Fragments, empty_fragments, rasterize, vertex_normals
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
SHADOW_SIDE, SHADOW_SCALE = 128, 42.0  # shadow map: pixels along each side, pixels per dm
OCCLUSION_SIDE, OCCLUSION_SCALE = 160, 40.0  # the same for the ambient occlusion
OCCLUSION_DIRECTIONS = 96
OCCLUSION_BIAS = 0.06  # dm: coarse depth maps shadow the surface itself


class Light(NamedTuple):
    """Lamps and ambient light in the camera's frame, linear RGB."""

    lamps: np.ndarray  # (L, 6) float32: unit vector towards the lamp, RGB; the key lamp is first
    ambient: np.ndarray  # (4, 3) float32: constant RGB, and its slopes along x, y, z of the normal
    shadow: float  # strength of the key lamp's shadow, 0…1


class ShadowMap(NamedTuple):
    """What the key lamp sees."""

    depth: np.ndarray  # (SHADOW_SIDE, SHADOW_SIDE) float32, dm along the lamp's rays
    matrix: tuple  # (3, 4) numbers, from the camera's frame to the map's pixels and depth


def draw_light(variety: float, rng: Stream) -> Light:
    """Draw the light. `variety` scales angles and share of shadows; news photographs have 1."""
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


def light_frame(direction: np.ndarray) -> np.ndarray:
    """Orthonormal frame (3, 3) whose rows point right, up, and towards the lamp."""
    up = np.asarray([0.0, 1.0, 0.0]) if abs(direction[1]) < 0.9 else np.asarray([1.0, 0.0, 0.0])
    right = np.cross(up, direction)
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(direction, right), direction])


def shadow_map(
    light: Light, distance: float, points: np.ndarray, triangles: np.ndarray, buffers: Fragments
) -> ShadowMap:
    """Draw the head as the key lamp sees it. Without `light.shadow` the map is undefined.

    points (V, 3) are in the camera's frame; `distance` (dm) is that of the head from the camera.
    `buffers` are overwritten.
    """
    matrix = np.zeros((3, 4))
    if light.shadow > 0:
        frame = light_frame(light.lamps[0, :3].astype(float))
        frame = frame * [[SHADOW_SCALE], [-SHADOW_SCALE], [-1.0]]
        matrix[:, :3] = frame
        matrix[:, 3] = -frame @ [0, 0, -distance]
        matrix[:2, 3] += SHADOW_SIDE / 2
        screen = points @ matrix[:, :3].T.astype(np.float32) + matrix[:, 3].astype(np.float32)
        rasterize(triangles, screen, buffers)
    return ShadowMap(buffers.depth, tuple(tuple(row) for row in matrix))


def ambient_occlusion(vertices: np.ndarray, triangles: np.ndarray, skin: np.ndarray) -> np.ndarray:
    """Cosine-weighted share of the sky that each vertex of the template sees, (V,) float32.

    `skin` are the triangles that hide the sky, `triangles` those that give the normals.
    """
    side = OCCLUSION_SIDE
    centred: np.ndarray = vertices - np.asarray([0, 7.2, 0.4], np.float32)
    normals: np.ndarray = np.zeros_like(centred)
    vertex_normals(centred, triangles, normals)
    fragments = empty_fragments(side, side)
    seen, total = np.zeros(len(vertices)), np.zeros(len(vertices))
    for k in range(OCCLUSION_DIRECTIONS):  # a Fibonacci sphere
        polar = math.acos(1 - 2 * (k + 0.5) / OCCLUSION_DIRECTIONS)
        around = math.pi * (1 + math.sqrt(5)) * (k + 0.5)
        ray = np.asarray([math.sin(polar) * math.cos(around), math.cos(polar), math.sin(polar) * math.sin(around)])
        right, up, towards = light_frame(ray)
        x, y = side / 2 + centred @ right * OCCLUSION_SCALE, side / 2 - centred @ up * OCCLUSION_SCALE
        screen = np.stack([x, y, -(centred @ towards)], 1).astype(np.float32)
        depth = rasterize(skin, screen, fragments).depth
        cosine = np.clip(normals @ towards, 0, None)
        column, row = np.clip(screen[:, :2].astype(int), 0, side - 1).T
        seen += cosine * (screen[:, 2] - OCCLUSION_BIAS < depth[row, column])
        total += cosine
    return (np.clip(seen / (total + 1e-6), 0.05, 1) ** 1.4).astype(np.float32)
