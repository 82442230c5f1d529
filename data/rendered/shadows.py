"""Shadows: the key lamp's shadow map, and the ambient occlusion of the template."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from arcface_mx.data.rendered.light import Light
from arcface_mx.data.rendered.raster import Fragments, empty_fragments, rasterize, vertex_normals

SHADOW_SIDE, SHADOW_SCALE = 128, 42.0  # shadow map: pixels along each side, pixels per dm
OCCLUSION_SIDE, OCCLUSION_SCALE = 160, 40.0  # depth maps of the ambient occlusion: the same two numbers
OCCLUSION_DIRECTIONS = 96
OCCLUSION_BIAS = 0.06  # dm: coarse depth maps shadow the surface itself


class ShadowMap(NamedTuple):
    """What the key lamp sees."""

    depth: np.ndarray  # (SHADOW_SIDE, SHADOW_SIDE) float32, dm along the lamp's rays
    matrix: tuple  # three rows of four numbers, from the camera's frame to the map's pixels and depth


def light_frame(direction: np.ndarray) -> np.ndarray:
    """Orthonormal frame (3, 3) whose rows point right, up, and towards the lamp."""
    up = np.asarray([0.0, 1.0, 0.0]) if abs(direction[1]) < 0.9 else np.asarray([1.0, 0.0, 0.0])
    right = np.cross(up, direction)
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(direction, right), direction])


def shadow_map(
    light: Light, distance: float, points: np.ndarray, triangles: np.ndarray, buffers: Fragments
) -> ShadowMap:
    """Draw the head as the key lamp sees it; the map stays undefined where the lamp casts no shadow.

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
