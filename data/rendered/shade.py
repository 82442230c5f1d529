"""Colour of every visible pixel: materials, lamps, shadow. Compiled by numba, one thread a process."""

from __future__ import annotations

import math
from collections import namedtuple

from arcface_mx.data.rendered.raster import COMPILE, LEFT_EYE, RIGHT_EYE, SKIN, TEETH, njit
from arcface_mx.data.rendered.raster import HAIR as HAIR_TRIANGLE
from arcface_mx.data.rendered.skin import BEARD, BLUE, BROW, BUMP_U, BUMP_V, GREEN, MOUSTACHE, RED, SPOTS
from arcface_mx.data.rendered.uv_map import REACH

# Helpers are inlined by the compiler: called, they cost a third more.

# Attributes of vertices.
U, V, LIPS, INSIDE_MOUTH, OPEN_SKY, LASH, GLOSS, BLUSH, SCALP, CLOTH = range(10)
ATTRIBUTES = 10

# Numbers of one photo. Shares are 0…1 unless said otherwise.
Look = namedtuple(
    "Look",
    "wrinkles brow beard moustache lips lash spots blush gloss gloss_power "
    "scalp_soft scalp_cover strand_contrast iris pupil shadow",
)
# Rows of the colour table.
LIP_COLOUR, BEARD_COLOUR, BROW_COLOUR, HAIR_COLOUR, IRIS_COLOUR, SCLERA_COLOUR, CLOTH_COLOUR = range(7)
COLOURS = 7

# Light that enters the skin leaves it nearby: red wraps furthest around the terminator.
WRAP_RED, WRAP_GREEN, WRAP_BLUE = 0.32, 0.18, 0.13
TEETH_ALBEDO = (0.74, 0.67, 0.56)
MOUTH_ALBEDO = (0.16, 0.045, 0.04)
TONGUE_ALBEDO = (0.36, 0.14, 0.13)
SHADOW_BIAS = 0.05  # dm
TEETH_SHADOW = 0.6  # the lips' shadow on them is softened: the depth map is coarse
LASH_REACH = 1.4


@njit(forceinline=True, **COMPILE)
def _step(low, high, value):
    """Smooth step: 0 below low, 1 above high."""
    t = min(max((value - low) / (high - low), 0.0), 1.0)
    return t * t * (3 - 2 * t)


@njit(forceinline=True, **COMPILE)
def _at(table, corners, weights, k):
    """Column k of a table of vertices, interpolated over a triangle."""
    return weights[0] * table[corners[0], k] + weights[1] * table[corners[1], k] + weights[2] * table[corners[2], k]


@njit(forceinline=True, **COMPILE)
def _at3(table, corners, weights):
    return _at(table, corners, weights, 0), _at(table, corners, weights, 1), _at(table, corners, weights, 2)


@njit(forceinline=True, **COMPILE)
def _texel(texture, place, shares, k):
    """Channel k of a texture between four texels."""
    row, column = place
    return (
        shares[0] * texture[row, column, k]
        + shares[1] * texture[row, column + 1, k]
        + shares[2] * texture[row + 1, column, k]
        + shares[3] * texture[row + 1, column + 1, k]
    )


@njit(forceinline=True, **COMPILE)
def _mix(colour, other, share):
    return (
        colour[0] + (other[0] - colour[0]) * share,
        colour[1] + (other[1] - colour[1]) * share,
        colour[2] + (other[2] - colour[2]) * share,
    )


@njit(forceinline=True, **COMPILE)
def _unit(x, y, z):
    inverse = 1 / (math.sqrt(x * x + y * y + z * z) + 1e-9)
    return x * inverse, y * inverse, z * inverse


@njit(forceinline=True, **COMPILE)
def _skin(attributes, corners, weights, texture, u, v, strand, look, colours, sky):
    """Skin, brows, beard, lips, lashes, clothes and scalp: colour, gloss, sky, diffusion, hair, slopes."""
    rows, columns = texture.shape[0], texture.shape[1]
    u, v = min(max(u, 0.0), columns - 1.001), min(max(v, 0.0), rows - 1.001)
    place = (int(v), int(u))
    fu, fv = u - place[1], v - place[0]
    shares = ((1 - fu) * (1 - fv), fu * (1 - fv), (1 - fu) * fv, fu * fv)
    lip = _at(attributes, corners, weights, LIPS)
    blush = look.blush * _at(attributes, corners, weights, BLUSH)
    spots = look.spots * _texel(texture, place, shares, SPOTS)
    gloss = look.gloss * _at(attributes, corners, weights, GLOSS)
    colour = (
        _texel(texture, place, shares, RED) * (1 - 0.10 * spots),
        _texel(texture, place, shares, GREEN) * (1 - 0.22 * spots - 0.28 * blush),
        _texel(texture, place, shares, BLUE) * (1 - 0.28 * spots - 0.22 * blush),
    )
    if lip > 0.01:
        q = _step(0.15, 0.75, lip) * look.lips
        colour = _mix(colour, colours[LIP_COLOUR], q)
        gloss *= 1 + q
    q = _texel(texture, place, shares, BEARD) * look.beard + _texel(texture, place, shares, MOUSTACHE) * look.moustache
    q = min(1.0, q) * (1 - _step(0.3, 0.8, lip))
    colour = _mix(colour, colours[BEARD_COLOUR], q)
    gloss *= 1 - 0.7 * q
    q = min(1.0, _texel(texture, place, shares, BROW) * look.brow)
    colour = _mix(colour, colours[BROW_COLOUR], q)
    gloss *= 1 - 0.8 * q
    inside = _at(attributes, corners, weights, INSIDE_MOUTH)
    if inside > 0.3 and lip < 0.5:
        q = _step(0.3, 0.7, inside)
        colour = _mix(colour, MOUTH_ALBEDO, q)
        sky *= 1 - 0.6 * q
    lash = LASH_REACH * look.lash * _at(attributes, corners, weights, LASH)
    if lash > 0.02:
        q = min(lash, 1.0)
        colour = _mix(colour, (0.0, 0.0, 0.0), q)
        gloss *= 1 - q
    diffusion = 1.0
    cloth = _at(attributes, corners, weights, CLOTH)
    if cloth > 0:
        q = _step(0.0, 0.04, cloth)
        colour = _mix(colour, colours[CLOTH_COLOUR], q)
        gloss *= 1 - q
        diffusion = 1 - q
    ragged = look.scalp_soft * 1.6 * (strand - 0.5)
    field = _at(attributes, corners, weights, SCALP) + ragged
    hair = look.scalp_cover * _step(-look.scalp_soft, look.scalp_soft, field)
    slope_u = _texel(texture, place, shares, BUMP_U) * look.wrinkles * (1 - hair)
    slope_u += hair * 0.9 * look.strand_contrast * (strand - 0.5)
    slope_v = _texel(texture, place, shares, BUMP_V) * look.wrinkles * (1 - hair)
    return colour, gloss, sky, diffusion, hair, slope_u, slope_v


@njit(forceinline=True, **COMPILE)
def _eye(normal, gaze, look, colours):
    """Iris, pupil and white, by the angle between the eyeball's normal and the gaze."""
    cosine = normal[0] * gaze[0] + normal[1] * gaze[1] + normal[2] * gaze[2]
    away = math.acos(min(max(cosine, -1.0), 1.0))
    rim = 1 - 0.6 * _step(look.iris * 0.7, look.iris, away)
    iris = colours[IRIS_COLOUR]
    share = 1 - _step(look.iris - 0.035, look.iris + 0.035, away)
    colour = _mix(colours[SCLERA_COLOUR], (iris[0] * rim, iris[1] * rim, iris[2] * rim), share)
    return _mix(colour, (0.0, 0.0, 0.0), 0.95 * (1 - _step(look.pupil - 0.03, look.pupil + 0.03, away)))


@njit(forceinline=True, **COMPILE)
def _lit(depth, x, y, z):
    """Share of the lamp seen at a point of the shadow map, bilinear over four texels."""
    side = depth.shape[0]
    x0, y0 = int(math.floor(x - 0.5)), int(math.floor(y - 0.5))
    if x0 < 0 or y0 < 0 or x0 >= side - 1 or y0 >= side - 1:
        return 1.0
    fx, fy = x - 0.5 - x0, y - 0.5 - y0
    near = z - SHADOW_BIAS
    total = 0.0
    if near < depth[y0, x0]:
        total += (1 - fx) * (1 - fy)
    if near < depth[y0, x0 + 1]:
        total += fx * (1 - fy)
    if near < depth[y0 + 1, x0]:
        total += (1 - fx) * fy
    if near < depth[y0 + 1, x0 + 1]:
        total += fx * fy
    return total


@njit(forceinline=True, **COMPILE)
def _shadowed(point, matrix, depth):
    """Share of the key lamp that reaches a point (camera frame)."""
    x, y, z = point
    return _lit(
        depth,
        matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2] * z + matrix[0, 3],
        matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 2] * z + matrix[1, 3],
        matrix[2, 0] * x + matrix[2, 1] * y + matrix[2, 2] * z + matrix[2, 3],
    )


@njit(forceinline=True, **COMPILE)
def _ambient(ambient, normal, sky, k):
    level = ambient[0, k] + ambient[1, k] * normal[0] + ambient[2, k] * normal[1] + ambient[3, k] * normal[2]
    return sky * max(0.02, level)


@njit(forceinline=True, **COMPILE)
def _wrapped(cosine, wrap):
    return max(0.0, (cosine + wrap) / (1 + wrap))


@njit(forceinline=True, **COMPILE)
def _shine(normal, view, lamp, cosine, gloss, power):
    """Specular reflection: Schlick's stand-in for cos ** power, squared for thinner tails."""
    x, y, z = _unit(lamp[0] + view[0], lamp[1] + view[1], lamp[2] + view[2])
    facing = normal[0] * x + normal[1] * y + normal[2] * z
    if cosine <= 0 or gloss <= 0 or facing <= 0:
        return 0.0
    half = 0.5 * power
    lobe = facing / (half - half * facing + facing)
    graze = 1 - (view[0] * x + view[1] * y + view[2] * z)
    strength = gloss * (power + 8) * 0.04 * lobe * lobe * min(1.0, cosine * 4)
    return strength * (0.6 + 2.5 * graze * graze * graze)


@njit(**COMPILE)
def shade(
    triangles,
    material,
    points,
    normals,
    attributes,
    texture,
    strands,
    strand_shift,
    face,
    first,
    second,
    turn,
    lamps,
    ambient,
    look,
    colours,
    eyes,
    gaze,
    shadow_map,
    shadow_matrix,
    image,
    cover,
):
    """Linear RGB of every pixel into image (H, W, 3), 1 where something was drawn into cover (H, W).

    points, normals (V, 3) in the camera's frame; attributes (V, 10); texture (h, w, 9), see skin;
    turn (3, 3) head to camera; lamps (L, 6); ambient (4, 3); colours (7, 3); eyes (2, 3) centres;
    gaze (3,); shadow_matrix (3, 4) from camera frame to the shadow map's pixels and depth.
    """
    height, width = face.shape
    rows, columns = texture.shape[0], texture.shape[1]
    for y in range(height):
        for x in range(width):
            t = face[y, x]
            if t < 0:
                cover[y, x] = 0
                image[y, x, 0] = image[y, x, 1] = image[y, x, 2] = 0
                continue
            cover[y, x] = 1
            kind = material[t]
            corners = (triangles[t, 0], triangles[t, 1], triangles[t, 2])
            weights = (first[y, x], second[y, x], 1 - first[y, x] - second[y, x])
            point = _at3(points, corners, weights)
            nx, ny, nz = _at3(normals, corners, weights)
            view = _unit(-point[0], -point[1], -point[2])
            sky = _at(attributes, corners, weights, OPEN_SKY)
            gloss, power, diffusion, hair, strand = 0.0, look.gloss_power, 1.0, 0.0, 0.5

            if kind == SKIN or kind == HAIR_TRIANGLE:
                u = _at(attributes, corners, weights, U) * columns - 0.5
                v = _at(attributes, corners, weights, V) * rows - 0.5
                strand = strands[int(abs(v)) % rows, (int(abs(u)) + strand_shift) % columns]
            if kind == SKIN:
                colour, gloss, sky, diffusion, hair, slope_u, slope_v = _skin(
                    attributes, corners, weights, texture, u, v, strand, look, colours, sky
                )
                # The relief's slopes, in the cylinder's tangent frame, turned to the camera's.
                theta = ((u + 0.5) / columns * 2 - 1) * REACH
                ox, oy, oz = -slope_u * math.cos(theta), slope_v, slope_u * math.sin(theta)
                nx += turn[0, 0] * ox + turn[0, 1] * oy + turn[0, 2] * oz
                ny += turn[1, 0] * ox + turn[1, 1] * oy + turn[1, 2] * oz
                nz += turn[2, 0] * ox + turn[2, 1] * oy + turn[2, 2] * oz
            elif kind == HAIR_TRIANGLE:
                colour, hair = (0.0, 0.0, 0.0), 1.0
            elif kind == LEFT_EYE or kind == RIGHT_EYE:
                e = kind - LEFT_EYE
                nx, ny, nz = _unit(point[0] - eyes[e, 0], point[1] - eyes[e, 1], point[2] - eyes[e, 2])
                colour = _eye((nx, ny, nz), gaze, look, colours)
                gloss, power, diffusion, sky = 0.25, 180.0, 0.3, 0.50
            elif kind == TEETH:
                colour, gloss, power, sky = TEETH_ALBEDO, 0.05, 40.0, 0.70
            else:
                colour, gloss, power, sky = TONGUE_ALBEDO, 0.08, 20.0, 0.45

            if hair > 0:
                bright = 1 + look.strand_contrast * 1.3 * (strand - 0.5)
                shaft = colours[HAIR_COLOUR]
                colour = _mix(colour, (shaft[0] * bright, shaft[1] * bright, shaft[2] * bright), hair)
                gloss += (0.05 * strand * look.strand_contrast - gloss) * hair
                power += (14 - power) * hair
                diffusion *= 1 - 0.6 * hair

            normal = _unit(nx, ny, nz)
            if kind == HAIR_TRIANGLE and normal[0] * view[0] + normal[1] * view[1] + normal[2] * view[2] < 0:
                normal = (-normal[0], -normal[1], -normal[2])
            red = colour[0] * _ambient(ambient, normal, sky, 0)
            green = colour[1] * _ambient(ambient, normal, sky, 1)
            blue = colour[2] * _ambient(ambient, normal, sky, 2)
            for k in range(lamps.shape[0]):
                cosine = normal[0] * lamps[k, 0] + normal[1] * lamps[k, 1] + normal[2] * lamps[k, 2]
                seen = 0.5 + 0.5 * sky
                if k == 0 and look.shadow > 0:
                    depth = look.shadow * (TEETH_SHADOW if kind == TEETH else 1.0)
                    seen *= 1 - depth * (1 - _shadowed(point, shadow_matrix, shadow_map))
                shine = _shine(normal, view, lamps[k], cosine, gloss, power)
                red += seen * lamps[k, 3] * (colour[0] * _wrapped(cosine, WRAP_RED * diffusion) + shine)
                green += seen * lamps[k, 4] * (colour[1] * _wrapped(cosine, WRAP_GREEN * diffusion) + shine)
                blue += seen * lamps[k, 5] * (colour[2] * _wrapped(cosine, WRAP_BLUE * diffusion) + shine)
            image[y, x, 0], image[y, x, 1], image[y, x, 2] = red, green, blue
