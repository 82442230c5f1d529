"""Shading: the light that every visible pixel reflects, compiled by numba.

Surfaces are Lambertian with a specular lobe. On skin, light wraps around the terminator, which
stands in for subsurface scattering.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from arcface_mx.data.rendered.kernels import compiled, dot, inlined, interpolate3, unit
from arcface_mx.data.rendered.materials import surface
from arcface_mx.data.rendered.raster import HAIR, TEETH

# Light that enters the skin leaves it nearby: red wraps furthest around the terminator.
WRAP_RED, WRAP_GREEN, WRAP_BLUE = 0.32, 0.18, 0.13
SHADOW_BIAS = 0.05  # dm
TEETH_SHADOW = 0.6  # softens the lips' shadow on the teeth, because the depth map is coarse


class Vertices(NamedTuple):
    """Vertices of one image in the camera's frame, and the textures that they refer to."""

    points: np.ndarray  # (V, 3) float32, dm
    normals: np.ndarray  # (V, 3) float32, unit vectors
    attributes: np.ndarray  # (V, 10) float32; the columns are named in `materials`
    skin: np.ndarray  # (h, w, 9) float32; the channels are named in `skin`
    strands: np.ndarray  # (h, w) float32 in 0…1


class Frame(NamedTuple):
    """Three numbers each, in the camera's frame; the rotation is three rows of three."""

    rotation: tuple  # from the head's frame to the camera's
    left_eye: tuple  # centre of the eyeball, dm
    right_eye: tuple
    gaze: tuple  # unit vector


@inlined
def _lit(depth, matrix, point):
    """Share of the key lamp that reaches a point, bilinear over four texels of the map."""
    x, y = dot(matrix[0], point) + matrix[0][3], dot(matrix[1], point) + matrix[1][3]
    near = dot(matrix[2], point) + matrix[2][3] - SHADOW_BIAS
    side = depth.shape[0]
    x0, y0 = int(math.floor(x - 0.5)), int(math.floor(y - 0.5))
    if x0 < 0 or y0 < 0 or x0 >= side - 1 or y0 >= side - 1:
        return 1.0
    fx, fy = x - 0.5 - x0, y - 0.5 - y0
    return (
        (1 - fx) * (1 - fy) * (near < depth[y0, x0])
        + fx * (1 - fy) * (near < depth[y0, x0 + 1])
        + (1 - fx) * fy * (near < depth[y0 + 1, x0])
        + fx * fy * (near < depth[y0 + 1, x0 + 1])
    )


@inlined
def _ambient(ambient, normal, sky, k):
    level = ambient[0, k] + ambient[1, k] * normal[0] + ambient[2, k] * normal[1] + ambient[3, k] * normal[2]
    return sky * max(0.02, level)


@inlined
def _wrapped(cosine, wrap):
    return max(0.0, (cosine + wrap) / (1 + wrap))


@inlined
def _specular(normal, view, lamp, cosine, gloss, power):
    """Specular reflection: Schlick's approximation of cos ** power, squared for thinner tails."""
    half_way = unit(lamp[0] + view[0], lamp[1] + view[1], lamp[2] + view[2])
    facing = dot(normal, half_way)
    if cosine <= 0 or gloss <= 0 or facing <= 0:
        return 0.0
    half = 0.5 * power
    lobe = facing / (half - half * facing + facing)
    graze = 1 - dot(view, half_way)
    strength = gloss * (power + 8) * 0.04 * lobe * lobe * min(1.0, cosine * 4)
    return strength * (0.6 + 2.5 * graze * graze * graze)


@compiled
def shade(mesh, vertices, frame, look, light, shadow, fragments):
    """Linear RGB of every pixel, (H, W, 3) float32; 0 where no triangle is."""
    triangles, material = mesh
    points, normals, attributes, skin, strands = vertices
    lamps, ambient, shadow_strength = light
    shadow_depth, shadow_matrix = shadow
    _, face, first, second = fragments
    height, width = face.shape
    image = np.zeros((height, width, 3), np.float32)
    for y in range(height):
        for x in range(width):
            t = face[y, x]
            if t < 0:
                continue
            kind = material[t]
            corners = (triangles[t, 0], triangles[t, 1], triangles[t, 2])
            place = (corners, (first[y, x], second[y, x], 1 - first[y, x] - second[y, x]))
            point = interpolate3(points, place)
            view = unit(-point[0], -point[1], -point[2])
            colour, normal, gloss, power, diffusion, sky = surface(
                kind, place, point, interpolate3(normals, place), attributes, skin, strands, look, frame
            )
            if kind == HAIR and dot(normal, view) < 0:  # hair has two sides
                normal = (-normal[0], -normal[1], -normal[2])
            red = colour[0] * _ambient(ambient, normal, sky, 0)
            green = colour[1] * _ambient(ambient, normal, sky, 1)
            blue = colour[2] * _ambient(ambient, normal, sky, 2)
            for k in range(lamps.shape[0]):
                cosine = normal[0] * lamps[k, 0] + normal[1] * lamps[k, 1] + normal[2] * lamps[k, 2]
                seen = 0.5 + 0.5 * sky
                if k == 0 and shadow_strength > 0:
                    depth = shadow_strength * (TEETH_SHADOW if kind == TEETH else 1.0)
                    seen *= 1 - depth * (1 - _lit(shadow_depth, shadow_matrix, point))
                shine = _specular(normal, view, lamps[k], cosine, gloss, power)
                red += seen * lamps[k, 3] * (colour[0] * _wrapped(cosine, WRAP_RED * diffusion) + shine)
                green += seen * lamps[k, 4] * (colour[1] * _wrapped(cosine, WRAP_GREEN * diffusion) + shine)
                blue += seen * lamps[k, 5] * (colour[2] * _wrapped(cosine, WRAP_BLUE * diffusion) + shine)
            image[y, x, 0], image[y, x, 1], image[y, x, 2] = red, green, blue
    return image
