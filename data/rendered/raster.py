"""Rasterisation: triangles to pixels, compiled by numba.

Screen x runs right, y down, and depth away from the camera. Triangles are counter-clockwise seen
from outside with y up, so a triangle that faces the camera has a negative area on the screen.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from arcface_mx.data.rendered.kernels import compiled, inlined

# Materials of triangles.
SKIN, LEFT_EYE, RIGHT_EYE, TEETH, TONGUE, HAIR = range(6)

FAR = np.float32(1e30)


class Mesh(NamedTuple):
    """T triangles and what they are made of."""

    triangles: np.ndarray  # (T, 3) int32 vertex numbers
    material: np.ndarray  # (T,) int32


class HairCutout(NamedTuple):
    """Alpha test of hair triangles, which are drawn from both sides.

    A pixel is kept where the edge value, frayed by the strand texture, is positive.
    """

    uv: np.ndarray  # (V, 2) float32 texture coordinates
    edge: np.ndarray  # (V,) float32, positive inside
    strands: np.ndarray  # (H, W) float32 in 0…1
    shift: int  # of the texture along u, texels


class Fragments(NamedTuple):
    """The nearest triangle of every pixel. Each array is (H, W)."""

    depth: np.ndarray  # float32; FAR where there is no triangle
    triangle: np.ndarray  # int32; -1 where there is no triangle
    first: np.ndarray  # float32 barycentric weight of the triangle's first vertex
    second: np.ndarray  # float32, of its second vertex


def empty_fragments(height: int, width: int) -> Fragments:
    """Buffers that `z_buffer` fills."""
    depth, first, second = np.zeros((3, height, width), np.float32)
    return Fragments(depth, np.empty((height, width), np.int32), first, second)


@compiled
def vertex_normals(points, triangles, normals):
    """Write unit vertex normals (V, 3): area-weighted means over the triangles (T, 3)."""
    normals[:] = 0
    for t in range(len(triangles)):
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


@inlined
def _pixels(a, b, c, side):
    """First and last pixel whose centre is between the extremes of three coordinates."""
    return max(0, int(math.ceil(min(a, b, c) - 0.5))), min(side - 1, int(math.floor(max(a, b, c) - 0.5)))


@inlined
def _is_hair(hair, corners, weights):
    """Alpha test of one pixel of a hair triangle."""
    (a, b, c), (w0, w1, w2) = corners, weights
    rows, columns = hair.strands.shape
    edge = w0 * hair.edge[a] + w1 * hair.edge[b] + w2 * hair.edge[c]
    u = w0 * hair.uv[a, 0] + w1 * hair.uv[b, 0] + w2 * hair.uv[c, 0]
    v = w0 * hair.uv[a, 1] + w1 * hair.uv[b, 1] + w2 * hair.uv[c, 1]
    texel = hair.strands[int(v * rows) % rows, (int(u * columns) + hair.shift) % columns]
    return edge + 0.5 * (texel - 0.5) > 0


@compiled
def z_buffer(mesh, screen, hair, margin, fragments):
    """Write the nearest triangle of every pixel into `fragments`.

    screen (V, 3) float32: x and y in pixels, depth. A pixel belongs to a triangle when its
    barycentric weights are at least -margin. Triangles other than hair are drawn from the front.
    """
    depth, face, first, second = fragments
    height, width = depth.shape
    depth[:] = FAR
    face[:] = -1
    for t in range(len(mesh.triangles)):
        a, b, c = mesh.triangles[t, 0], mesh.triangles[t, 1], mesh.triangles[t, 2]
        xa, ya, xb, yb, xc, yc = screen[a, 0], screen[a, 1], screen[b, 0], screen[b, 1], screen[c, 0], screen[c, 1]
        area = (xb - xa) * (yc - ya) - (xc - xa) * (yb - ya)
        is_hair = mesh.material[t] == HAIR
        if area == 0 or (area > 0 and not is_hair):
            continue
        x0, x1 = _pixels(xa, xb, xc, width)
        y0, y1 = _pixels(ya, yb, yc, height)
        if x0 > x1 or y0 > y1:
            continue
        inverse = 1.0 / area
        step0, step1 = -(yc - yb) * inverse, -(ya - yc) * inverse
        za, zb, zc = screen[a, 2], screen[b, 2], screen[c, 2]
        for row in range(y0, y1 + 1):
            w0 = ((xc - xb) * (row + 0.5 - yb) - (yc - yb) * (x0 + 0.5 - xb)) * inverse
            w1 = ((xa - xc) * (row + 0.5 - yc) - (ya - yc) * (x0 + 0.5 - xc)) * inverse
            for column in range(x0, x1 + 1):
                w2 = 1.0 - w0 - w1
                if w0 >= -margin and w1 >= -margin and w2 >= -margin:
                    d = w0 * za + w1 * zb + w2 * zc
                    if d < depth[row, column] and (not is_hair or _is_hair(hair, (a, b, c), (w0, w1, w2))):
                        depth[row, column] = d
                        face[row, column] = t
                        first[row, column] = w0
                        second[row, column] = w1
                w0 += step0
                w1 += step1


_NO_HAIR = HairCutout(np.zeros((1, 2), np.float32), np.zeros(1, np.float32), np.zeros((1, 1), np.float32), 0)


def rasterize(triangles: np.ndarray, screen: np.ndarray, fragments: Fragments, margin: float = 0.0) -> Fragments:
    """`z_buffer` of a mesh without hair. Returns the same `fragments`."""
    z_buffer(Mesh(triangles, np.zeros(len(triangles), np.int32)), screen, _NO_HAIR, margin, fragments)
    return fragments
