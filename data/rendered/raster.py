"""Triangles to pixels: normals, z-buffer, depth maps. Compiled by numba, one thread a process.

Screen x runs right, y down, depth away from the camera. The mesh is counter-clockwise seen from
outside with y up, so that front faces have a negative area on the screen.
"""

from __future__ import annotations

import math
from typing import Any, Tuple

import numpy as np

from arcface_mx.util.errors import UserError

try:
    from numba import njit
except ImportError:
    raise UserError("numba is not installed, rendering needs it; run: pip install 'numba>=0.58,<1'") from None

# Materials of triangles.
SKIN, LEFT_EYE, RIGHT_EYE, TEETH, TONGUE, HAIR = range(6)

# No fastmath: the same sums in the same order on every CPU with the same instructions.
COMPILE: Any = {"nogil": True, "cache": True, "error_model": "numpy"}
FAR = np.float32(1e30)


@njit(**COMPILE)
def vertex_normals(points, triangles, count, normals):
    """Unit normals at vertices from the first `count` triangles, weighted by area, into `normals`."""
    normals[:] = 0
    for t in range(count):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        ux, uy, uz = points[b, 0] - points[a, 0], points[b, 1] - points[a, 1], points[b, 2] - points[a, 2]
        vx, vy, vz = points[c, 0] - points[a, 0], points[c, 1] - points[a, 1], points[c, 2] - points[a, 2]
        nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        for k in (a, b, c):
            normals[k, 0] += nx
            normals[k, 1] += ny
            normals[k, 2] += nz
    for i in range(normals.shape[0]):
        length = math.sqrt(normals[i, 0] ** 2 + normals[i, 1] ** 2 + normals[i, 2] ** 2) + 1e-12
        normals[i, 0] /= length
        normals[i, 1] /= length
        normals[i, 2] /= length


@njit(**COMPILE)
def z_buffer(triangles, material, count, x, y, z, hair_uv, hair_edge, strands, shift, depth, face, first, second):
    """Nearest triangle of every pixel and its barycentric weights.

    triangles (T, 3), material (T,): the first `count` are drawn. x, y, z (V,): pixels and depth.
    Hair is drawn from both sides where `hair_edge` (V,), frayed by the strand texture, is positive.
    Written: depth, face (-1: nothing), first and second weight, all (H, W).
    """
    height, width = depth.shape
    rows, columns = strands.shape
    depth[:] = FAR
    face[:] = -1
    for t in range(count):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        xa, ya, xb, yb, xc, yc = x[a], y[a], x[b], y[b], x[c], y[c]
        area = (xb - xa) * (yc - ya) - (xc - xa) * (yb - ya)
        hair = material[t] == HAIR
        if area == 0 or (area > 0 and not hair):
            continue
        x0 = max(0, int(math.ceil(min(xa, xb, xc) - 0.5)))
        x1 = min(width - 1, int(math.floor(max(xa, xb, xc) - 0.5)))
        y0 = max(0, int(math.ceil(min(ya, yb, yc) - 0.5)))
        y1 = min(height - 1, int(math.floor(max(ya, yb, yc) - 0.5)))
        if x0 > x1 or y0 > y1:
            continue
        inverse = 1.0 / area
        step0, step1 = -(yc - yb) * inverse, -(ya - yc) * inverse
        za, zb, zc = z[a], z[b], z[c]
        for row in range(y0, y1 + 1):
            w0 = ((xc - xb) * (row + 0.5 - yb) - (yc - yb) * (x0 + 0.5 - xb)) * inverse
            w1 = ((xa - xc) * (row + 0.5 - yc) - (ya - yc) * (x0 + 0.5 - xc)) * inverse
            for column in range(x0, x1 + 1):
                w2 = 1.0 - w0 - w1
                if w0 >= -1e-6 and w1 >= -1e-6 and w2 >= -1e-6:
                    d = w0 * za + w1 * zb + w2 * zc
                    if d < depth[row, column]:
                        drawn = True
                        if hair:
                            edge = w0 * hair_edge[a] + w1 * hair_edge[b] + w2 * hair_edge[c]
                            u = w0 * hair_uv[a, 0] + w1 * hair_uv[b, 0] + w2 * hair_uv[c, 0]
                            v = w0 * hair_uv[a, 1] + w1 * hair_uv[b, 1] + w2 * hair_uv[c, 1]
                            texel = strands[int(v * rows) % rows, (int(u * columns) + shift) % columns]
                            drawn = edge + 0.5 * (texel - 0.5) > 0
                        if drawn:
                            depth[row, column] = d
                            face[row, column] = t
                            first[row, column] = w0
                            second[row, column] = w1
                w0 += step0
                w1 += step1


@njit(**COMPILE)
def depth_map(triangles, count, x, y, z, depth):
    """Depth of the nearest front face at every pixel, for shadows. depth (S, S) is written."""
    side = depth.shape[0]
    depth[:] = FAR
    for t in range(count):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        xa, ya, xb, yb, xc, yc = x[a], y[a], x[b], y[b], x[c], y[c]
        area = (xb - xa) * (yc - ya) - (xc - xa) * (yb - ya)
        if area >= 0:
            continue
        x0 = max(0, int(math.ceil(min(xa, xb, xc) - 0.5)))
        x1 = min(side - 1, int(math.floor(max(xa, xb, xc) - 0.5)))
        y0 = max(0, int(math.ceil(min(ya, yb, yc) - 0.5)))
        y1 = min(side - 1, int(math.floor(max(ya, yb, yc) - 0.5)))
        if x0 > x1 or y0 > y1:
            continue
        inverse = 1.0 / area
        step0, step1 = -(yc - yb) * inverse, -(ya - yc) * inverse
        za, zb, zc = z[a], z[b], z[c]
        for row in range(y0, y1 + 1):
            w0 = ((xc - xb) * (row + 0.5 - yb) - (yc - yb) * (x0 + 0.5 - xb)) * inverse
            w1 = ((xa - xc) * (row + 0.5 - yc) - (ya - yc) * (x0 + 0.5 - xc)) * inverse
            for column in range(x0, x1 + 1):
                w2 = 1.0 - w0 - w1
                if w0 >= 0 and w1 >= 0 and w2 >= 0:
                    d = w0 * za + w1 * zb + w2 * zc
                    if d < depth[row, column]:
                        depth[row, column] = d
                w0 += step0
                w1 += step1


def plain_buffer(
    triangles: np.ndarray, x: np.ndarray, y: np.ndarray, z: np.ndarray, height: int, width: int
) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A z-buffer without hair: face (H, W) int32, first and second weight (H, W) float32."""
    depth = np.empty((height, width), np.float32)
    face = np.empty((height, width), np.int32)
    first, second = np.zeros_like(depth), np.zeros_like(depth)
    material = np.zeros(len(triangles), np.int32)
    nothing = np.zeros((len(x), 2), np.float32)
    strands = np.zeros((1, 1), np.float32)
    edge = np.zeros(len(x), np.float32)
    count = len(triangles)
    z_buffer(triangles, material, count, x, y, z, nothing, edge, strands, 0, depth, face, first, second)
    return face, first, second


def light_frame(direction: np.ndarray) -> np.ndarray:
    """Rows right, up, towards the light: an orthonormal frame, (3, 3)."""
    up = np.asarray([0.0, 1.0, 0.0]) if abs(direction[1]) < 0.9 else np.asarray([1.0, 0.0, 0.0])
    right = np.cross(up, direction)
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(direction, right), direction])


def ambient_occlusion(vertices: np.ndarray, triangles: np.ndarray, skin: np.ndarray) -> np.ndarray:
    """Share of the sky that each vertex of the template sees, cosine-weighted, (V,) float32."""
    directions, side, scale = 96, 160, 40.0  # depth maps of 160 × 160 pixels at 4 pixels a cm
    centred: np.ndarray = vertices - np.asarray([0, 7.2, 0.4], np.float32)
    normals: np.ndarray = np.zeros_like(centred)
    vertex_normals(centred, triangles, len(triangles), normals)
    depth = np.empty((side, side), np.float32)
    seen, total = np.zeros(len(vertices)), np.zeros(len(vertices))
    for k in range(directions):  # a Fibonacci sphere
        polar, around = math.acos(1 - 2 * (k + 0.5) / directions), math.pi * (1 + math.sqrt(5)) * (k + 0.5)
        ray = np.asarray([math.sin(polar) * math.cos(around), math.cos(polar), math.sin(polar) * math.sin(around)])
        right, up, towards = light_frame(ray)
        x = (side / 2 + centred @ right * scale).astype(np.float32)
        y = (side / 2 - centred @ up * scale).astype(np.float32)
        z = (-(centred @ towards)).astype(np.float32)
        depth_map(skin, len(skin), x, y, z, depth)
        cosine = np.clip(normals @ towards, 0, None)
        column, row = np.clip(x.astype(int), 0, side - 1), np.clip(y.astype(int), 0, side - 1)
        seen += cosine * (z - 0.06 < depth[row, column])  # 6 mm: self-shadowing of coarse maps
        total += cosine
    return (np.clip(seen / (total + 1e-6), 0.05, 1) ** 1.4).astype(np.float32)
