"""Materials: what the surface is at a visible point, compiled by numba.

Surfaces have an albedo (linear RGB), a unit normal, a specular gloss and its exponent, a share of
open sky, and a diffusion that says how far light spreads below the surface.
"""

from __future__ import annotations

import math

from arcface_mx.data.rendered.kernels import dot, inlined, interpolate, mix, step, unit
from arcface_mx.data.rendered.raster import HAIR, LEFT_EYE, RIGHT_EYE, SKIN, TEETH
from arcface_mx.data.rendered.skin import BEARD, BLUE, BROW, BUMP_U, BUMP_V, GREEN, MOUSTACHE, RED, SPOTS
from arcface_mx.data.rendered.uv_map import REACH

# Columns of the table of vertex attributes.
U, V, LIPS, INSIDE_MOUTH, OPEN_SKY, LASH, GLOSS, BLUSH, SCALP, CLOTH = range(10)
ATTRIBUTES = 10

TEETH_ALBEDO, TONGUE_ALBEDO, MOUTH_ALBEDO = (0.74, 0.67, 0.56), (0.36, 0.14, 0.13), (0.16, 0.045, 0.04)
BLACK = (0.0, 0.0, 0.0)
LASH_REACH = 1.4


@inlined
def _texel(texture, texel, shares, k):
    """Channel k of a texture, bilinear between four texels."""
    row, column = texel
    return (
        shares[0] * texture[row, column, k]
        + shares[1] * texture[row, column + 1, k]
        + shares[2] * texture[row + 1, column, k]
        + shares[3] * texture[row + 1, column + 1, k]
    )


@inlined
def _skin(attributes, place, texture, u, v, strand, look, sky):
    """All that the skin's mesh shows: colour, gloss, sky, diffusion, share of hair, two slopes."""
    palette = look.palette
    rows, columns = texture.shape[0], texture.shape[1]
    u, v = min(max(u, 0.0), columns - 1.001), min(max(v, 0.0), rows - 1.001)
    texel = (int(v), int(u))
    fu, fv = u - texel[1], v - texel[0]
    shares = ((1 - fu) * (1 - fv), fu * (1 - fv), (1 - fu) * fv, fu * fv)
    lip = interpolate(attributes, place, LIPS)
    blush = look.blush * interpolate(attributes, place, BLUSH)
    spots = look.spots * _texel(texture, texel, shares, SPOTS)
    gloss = look.gloss * interpolate(attributes, place, GLOSS)
    colour = (
        _texel(texture, texel, shares, RED) * (1 - 0.10 * spots),
        _texel(texture, texel, shares, GREEN) * (1 - 0.22 * spots - 0.28 * blush),
        _texel(texture, texel, shares, BLUE) * (1 - 0.28 * spots - 0.22 * blush),
    )
    if lip > 0.01:
        q = step(0.15, 0.75, lip) * look.lips
        colour = mix(colour, palette.lips, q)
        gloss *= 1 + q
    q = _texel(texture, texel, shares, BEARD) * look.beard + _texel(texture, texel, shares, MOUSTACHE) * look.moustache
    q = min(1.0, q) * (1 - step(0.3, 0.8, lip))
    colour = mix(colour, palette.beard, q)
    gloss *= 1 - 0.7 * q
    q = min(1.0, _texel(texture, texel, shares, BROW) * look.brow)
    colour = mix(colour, palette.brow, q)
    gloss *= 1 - 0.8 * q
    inside = interpolate(attributes, place, INSIDE_MOUTH)
    if inside > 0.3 and lip < 0.5:
        q = step(0.3, 0.7, inside)
        colour = mix(colour, MOUTH_ALBEDO, q)
        sky *= 1 - 0.6 * q
    lash = LASH_REACH * look.lash * interpolate(attributes, place, LASH)
    if lash > 0.02:
        q = min(lash, 1.0)
        colour = mix(colour, BLACK, q)
        gloss *= 1 - q
    diffusion = 1.0
    cloth = interpolate(attributes, place, CLOTH)
    if cloth > 0:
        q = step(0.0, 0.04, cloth)
        colour = mix(colour, palette.cloth, q)
        gloss *= 1 - q
        diffusion = 1 - q
    ragged = look.scalp_soft * 1.6 * (strand - 0.5)
    field = interpolate(attributes, place, SCALP) + ragged
    hair = look.scalp_cover * step(-look.scalp_soft, look.scalp_soft, field)
    slope_u = _texel(texture, texel, shares, BUMP_U) * look.wrinkles * (1 - hair)
    slope_u += hair * 0.9 * look.strand_contrast * (strand - 0.5)
    slope_v = _texel(texture, texel, shares, BUMP_V) * look.wrinkles * (1 - hair)
    return colour, gloss, sky, diffusion, hair, slope_u, slope_v


@inlined
def _eye(normal, gaze, look):
    """Iris, pupil and white, by the angle between the eyeball's normal and the gaze."""
    away = math.acos(min(max(dot(normal, gaze), -1.0), 1.0))
    rim = 1 - 0.6 * step(look.iris * 0.7, look.iris, away)
    iris = look.palette.iris
    share = 1 - step(look.iris - 0.035, look.iris + 0.035, away)
    colour = mix(look.palette.sclera, (iris[0] * rim, iris[1] * rim, iris[2] * rim), share)
    return mix(colour, BLACK, 0.95 * (1 - step(look.pupil - 0.03, look.pupil + 0.03, away)))


@inlined
def surface(kind, place, point, normal, attributes, skin, strands, look, frame):
    """Colour, unit normal, gloss, its exponent, diffusion and open sky at a point of a triangle."""
    sky = interpolate(attributes, place, OPEN_SKY)
    gloss, power, diffusion, hair, strand = 0.0, look.gloss_power, 1.0, 0.0, 0.5
    if kind == SKIN or kind == HAIR:
        rows, columns = strands.shape
        u = interpolate(attributes, place, U) * columns - 0.5
        v = interpolate(attributes, place, V) * rows - 0.5
        strand = strands[int(abs(v)) % rows, (int(abs(u)) + look.strand_shift) % columns]
    if kind == SKIN:
        colour, gloss, sky, diffusion, hair, slope_u, slope_v = _skin(attributes, place, skin, u, v, strand, look, sky)
        # The slopes of the relief tilt the normal. They are in the tangent frame of the cylinder.
        theta = ((u + 0.5) / columns * 2 - 1) * REACH
        tilt, turn = (-slope_u * math.cos(theta), slope_v, slope_u * math.sin(theta)), frame.rotation
        normal = (normal[0] + dot(turn[0], tilt), normal[1] + dot(turn[1], tilt), normal[2] + dot(turn[2], tilt))
    elif kind == HAIR:
        colour, hair = BLACK, 1.0
    elif kind == LEFT_EYE or kind == RIGHT_EYE:
        centre = frame.left_eye if kind == LEFT_EYE else frame.right_eye
        normal = unit(point[0] - centre[0], point[1] - centre[1], point[2] - centre[2])
        colour = _eye(normal, frame.gaze, look)
        gloss, power, diffusion, sky = 0.25, 180.0, 0.3, 0.50
    elif kind == TEETH:
        colour, gloss, power, sky = TEETH_ALBEDO, 0.05, 40.0, 0.70
    else:
        colour, gloss, power, sky = TONGUE_ALBEDO, 0.08, 20.0, 0.45
    if hair > 0:
        bright = 1 + look.strand_contrast * 1.3 * (strand - 0.5)
        shaft = look.palette.hair
        colour = mix(colour, (shaft[0] * bright, shaft[1] * bright, shaft[2] * bright), hair)
        gloss += (0.05 * strand * look.strand_contrast - gloss) * hair
        power += (14 - power) * hair
        diffusion *= 1 - 0.6 * hair
    return colour, unit(normal[0], normal[1], normal[2]), gloss, power, diffusion, sky
