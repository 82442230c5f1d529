"""Colour of every visible pixel: materials, lamps, shadow. Compiled by numba, one thread a process."""

from __future__ import annotations

import math
from collections import namedtuple

from numba import njit

from arcface_mx.data.rendered.cylinder import REACH
from arcface_mx.data.rendered.raster import COMPILE, LEFT_EYE, RIGHT_EYE, SKIN, TEETH
from arcface_mx.data.rendered.raster import HAIR as HAIR_TRIANGLE
from arcface_mx.data.rendered.skin import BEARD, BROW, BUMP_U, BUMP_V, MOUSTACHE, SPOTS

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


@njit(inline="always")
def _step(low, high, value):
    t = (value - low) / (high - low)
    t = min(max(t, 0.0), 1.0)
    return t * t * (3 - 2 * t)


@njit(inline="always")
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
            a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
            w0, w1 = first[y, x], second[y, x]
            w2 = 1 - w0 - w1
            kind = material[t]
            px = w0 * points[a, 0] + w1 * points[b, 0] + w2 * points[c, 0]
            py = w0 * points[a, 1] + w1 * points[b, 1] + w2 * points[c, 1]
            pz = w0 * points[a, 2] + w1 * points[b, 2] + w2 * points[c, 2]
            nx = w0 * normals[a, 0] + w1 * normals[b, 0] + w2 * normals[c, 0]
            ny = w0 * normals[a, 1] + w1 * normals[b, 1] + w2 * normals[c, 1]
            nz = w0 * normals[a, 2] + w1 * normals[b, 2] + w2 * normals[c, 2]
            inverse = -1 / math.sqrt(px * px + py * py + pz * pz)
            vx, vy, vz = px * inverse, py * inverse, pz * inverse  # towards the camera
            sky = w0 * attributes[a, OPEN_SKY] + w1 * attributes[b, OPEN_SKY] + w2 * attributes[c, OPEN_SKY]
            gloss, power, diffusion = 0.0, look.gloss_power, 1.0

            if kind == SKIN or kind == HAIR_TRIANGLE:
                u = (w0 * attributes[a, U] + w1 * attributes[b, U] + w2 * attributes[c, U]) * columns - 0.5
                v = (w0 * attributes[a, V] + w1 * attributes[b, V] + w2 * attributes[c, V]) * rows - 0.5
                strand = strands[int(abs(v)) % rows, (int(abs(u)) + strand_shift) % columns]
            if kind == SKIN:
                theta = ((u + 0.5) / columns * 2 - 1) * REACH
                u, v = min(max(u, 0.0), columns - 1.001), min(max(v, 0.0), rows - 1.001)
                iu, iv = int(u), int(v)
                fu, fv = u - iu, v - iv
                q00, q10, q01, q11 = (1 - fu) * (1 - fv), fu * (1 - fv), (1 - fu) * fv, fu * fv
                t00, t10, t01, t11 = texture[iv, iu], texture[iv, iu + 1], texture[iv + 1, iu], texture[iv + 1, iu + 1]
                red = q00 * t00[0] + q10 * t10[0] + q01 * t01[0] + q11 * t11[0]
                green = q00 * t00[1] + q10 * t10[1] + q01 * t01[1] + q11 * t11[1]
                blue = q00 * t00[2] + q10 * t10[2] + q01 * t01[2] + q11 * t11[2]
                bump_u = q00 * t00[BUMP_U] + q10 * t10[BUMP_U] + q01 * t01[BUMP_U] + q11 * t11[BUMP_U]
                bump_v = q00 * t00[BUMP_V] + q10 * t10[BUMP_V] + q01 * t01[BUMP_V] + q11 * t11[BUMP_V]
                spots = q00 * t00[SPOTS] + q10 * t10[SPOTS] + q01 * t01[SPOTS] + q11 * t11[SPOTS]
                brow = q00 * t00[BROW] + q10 * t10[BROW] + q01 * t01[BROW] + q11 * t11[BROW]
                jaw = q00 * t00[BEARD] + q10 * t10[BEARD] + q01 * t01[BEARD] + q11 * t11[BEARD]
                lip_hair = q00 * t00[MOUSTACHE] + q10 * t10[MOUSTACHE] + q01 * t01[MOUSTACHE] + q11 * t11[MOUSTACHE]
                lip = w0 * attributes[a, LIPS] + w1 * attributes[b, LIPS] + w2 * attributes[c, LIPS]
                blush = w0 * attributes[a, BLUSH] + w1 * attributes[b, BLUSH] + w2 * attributes[c, BLUSH]
                gloss = look.gloss * (w0 * attributes[a, GLOSS] + w1 * attributes[b, GLOSS] + w2 * attributes[c, GLOSS])

                red *= 1 - 0.10 * look.spots * spots
                green *= 1 - 0.22 * look.spots * spots - 0.28 * look.blush * blush
                blue *= 1 - 0.28 * look.spots * spots - 0.22 * look.blush * blush
                if lip > 0.01:
                    q = _step(0.15, 0.75, lip) * look.lips
                    red += (colours[LIP_COLOUR, 0] - red) * q
                    green += (colours[LIP_COLOUR, 1] - green) * q
                    blue += (colours[LIP_COLOUR, 2] - blue) * q
                    gloss *= 1 + q
                q = min(1.0, jaw * look.beard + lip_hair * look.moustache) * (1 - _step(0.3, 0.8, lip))
                red += (colours[BEARD_COLOUR, 0] - red) * q
                green += (colours[BEARD_COLOUR, 1] - green) * q
                blue += (colours[BEARD_COLOUR, 2] - blue) * q
                gloss *= 1 - 0.7 * q
                q = min(1.0, brow * look.brow)
                red += (colours[BROW_COLOUR, 0] - red) * q
                green += (colours[BROW_COLOUR, 1] - green) * q
                blue += (colours[BROW_COLOUR, 2] - blue) * q
                gloss *= 1 - 0.8 * q
                inside = w0 * attributes[a, INSIDE_MOUTH] + w1 * attributes[b, INSIDE_MOUTH] + w2 * attributes[c, INSIDE_MOUTH]
                if inside > 0.3 and lip < 0.5:
                    q = _step(0.3, 0.7, inside)
                    red += (MOUTH_ALBEDO[0] - red) * q
                    green += (MOUTH_ALBEDO[1] - green) * q
                    blue += (MOUTH_ALBEDO[2] - blue) * q
                    sky *= 1 - 0.6 * q
                lash = (w0 * attributes[a, LASH] + w1 * attributes[b, LASH] + w2 * attributes[c, LASH]) * look.lash * 1.4
                if lash > 0.02:
                    q = 1 - min(lash, 1.0)
                    red, green, blue, gloss = red * q, green * q, blue * q, gloss * q
                cloth = w0 * attributes[a, CLOTH] + w1 * attributes[b, CLOTH] + w2 * attributes[c, CLOTH]
                if cloth > 0:
                    q = _step(0.0, 0.04, cloth)
                    red += (colours[CLOTH_COLOUR, 0] - red) * q
                    green += (colours[CLOTH_COLOUR, 1] - green) * q
                    blue += (colours[CLOTH_COLOUR, 2] - blue) * q
                    gloss *= 1 - q
                    diffusion = 1 - q
                scalp = w0 * attributes[a, SCALP] + w1 * attributes[b, SCALP] + w2 * attributes[c, SCALP]
                ragged = look.scalp_soft * 1.6 * (strand - 0.5)
                hair = look.scalp_cover * _step(-look.scalp_soft, look.scalp_soft, scalp + ragged)
                bump_u = bump_u * look.wrinkles * (1 - hair) + hair * 0.9 * look.strand_contrast * (strand - 0.5)
                bump_v = bump_v * look.wrinkles * (1 - hair)
                # The relief's slopes, in the cylinder's tangent frame, turned to the camera's.
                ox, oy, oz = -bump_u * math.cos(theta), bump_v, bump_u * math.sin(theta)
                nx += turn[0, 0] * ox + turn[0, 1] * oy + turn[0, 2] * oz
                ny += turn[1, 0] * ox + turn[1, 1] * oy + turn[1, 2] * oz
                nz += turn[2, 0] * ox + turn[2, 1] * oy + turn[2, 2] * oz
            elif kind == HAIR_TRIANGLE:
                red = green = blue = 0.0
                hair = 1.0
            elif kind == LEFT_EYE or kind == RIGHT_EYE:
                e = kind - LEFT_EYE
                nx, ny, nz = px - eyes[e, 0], py - eyes[e, 1], pz - eyes[e, 2]
                inverse = 1 / (math.sqrt(nx * nx + ny * ny + nz * nz) + 1e-9)
                nx, ny, nz = nx * inverse, ny * inverse, nz * inverse
                away = math.acos(min(max(nx * gaze[0] + ny * gaze[1] + nz * gaze[2], -1.0), 1.0))
                q = 1 - _step(look.iris - 0.035, look.iris + 0.035, away)
                rim = 1 - 0.6 * _step(look.iris * 0.7, look.iris, away)
                dark = 1 - 0.95 * (1 - _step(look.pupil - 0.03, look.pupil + 0.03, away))
                red = (colours[SCLERA_COLOUR, 0] * (1 - q) + colours[IRIS_COLOUR, 0] * rim * q) * dark
                green = (colours[SCLERA_COLOUR, 1] * (1 - q) + colours[IRIS_COLOUR, 1] * rim * q) * dark
                blue = (colours[SCLERA_COLOUR, 2] * (1 - q) + colours[IRIS_COLOUR, 2] * rim * q) * dark
                gloss, power, diffusion, sky, hair = 0.25, 180.0, 0.3, 0.5, 0.0
            elif kind == TEETH:
                red, green, blue = TEETH_ALBEDO
                gloss, power, diffusion, sky, hair = 0.05, 40.0, 1.0, 0.70, 0.0
            else:
                red, green, blue = TONGUE_ALBEDO
                gloss, power, sky, hair = 0.08, 20.0, 0.45, 0.0

            if hair > 0:
                bright = 1 + look.strand_contrast * 1.3 * (strand - 0.5)
                red += (colours[HAIR_COLOUR, 0] * bright - red) * hair
                green += (colours[HAIR_COLOUR, 1] * bright - green) * hair
                blue += (colours[HAIR_COLOUR, 2] * bright - blue) * hair
                gloss += (0.05 * strand * look.strand_contrast - gloss) * hair
                power += (14 - power) * hair
                diffusion *= 1 - 0.6 * hair

            inverse = 1 / (math.sqrt(nx * nx + ny * ny + nz * nz) + 1e-9)
            nx, ny, nz = nx * inverse, ny * inverse, nz * inverse
            if kind == HAIR_TRIANGLE and nx * vx + ny * vy + nz * vz < 0:
                nx, ny, nz = -nx, -ny, -nz
            light_red = sky * max(0.02, ambient[0, 0] + ambient[1, 0] * nx + ambient[2, 0] * ny + ambient[3, 0] * nz)
            light_green = sky * max(0.02, ambient[0, 1] + ambient[1, 1] * nx + ambient[2, 1] * ny + ambient[3, 1] * nz)
            light_blue = sky * max(0.02, ambient[0, 2] + ambient[1, 2] * nx + ambient[2, 2] * ny + ambient[3, 2] * nz)
            shine_red, shine_green, shine_blue = 0.0, 0.0, 0.0
            crevice = 0.5 + 0.5 * sky
            for k in range(lamps.shape[0]):
                lx, ly, lz = lamps[k, 0], lamps[k, 1], lamps[k, 2]
                cosine = nx * lx + ny * ly + nz * lz
                seen = crevice
                if k == 0 and look.shadow > 0:
                    sx = shadow_matrix[0, 0] * px + shadow_matrix[0, 1] * py + shadow_matrix[0, 2] * pz + shadow_matrix[0, 3]
                    sy = shadow_matrix[1, 0] * px + shadow_matrix[1, 1] * py + shadow_matrix[1, 2] * pz + shadow_matrix[1, 3]
                    sz = shadow_matrix[2, 0] * px + shadow_matrix[2, 1] * py + shadow_matrix[2, 2] * pz + shadow_matrix[2, 3]
                    seen *= 1 - (0.6 if kind == TEETH else 1.0) * look.shadow * (1 - _lit(shadow_map, sx, sy, sz))
                w = WRAP_RED * diffusion
                light_red += lamps[k, 3] * max(0.0, (cosine + w) / (1 + w)) * seen
                w = WRAP_GREEN * diffusion
                light_green += lamps[k, 4] * max(0.0, (cosine + w) / (1 + w)) * seen
                w = WRAP_BLUE * diffusion
                light_blue += lamps[k, 5] * max(0.0, (cosine + w) / (1 + w)) * seen
                if cosine > 0 and gloss > 0:
                    hx, hy, hz = lx + vx, ly + vy, lz + vz
                    inverse = 1 / (math.sqrt(hx * hx + hy * hy + hz * hz) + 1e-9)
                    facing = (nx * hx + ny * hy + nz * hz) * inverse
                    if facing > 0:
                        # Schlick's stand-in for facing ** power, squared for thinner tails.
                        half = 0.5 * power
                        lobe = facing / (half - half * facing + facing)
                        lobe *= lobe
                        graze = 1 - (vx * hx + vy * hy + vz * hz) * inverse
                        shine = gloss * (power + 8) * 0.04 * lobe * seen * min(1.0, cosine * 4)
                        shine *= 0.6 + 2.5 * graze * graze * graze
                        shine_red += shine * lamps[k, 3]
                        shine_green += shine * lamps[k, 4]
                        shine_blue += shine * lamps[k, 5]
            image[y, x, 0] = red * light_red + shine_red
            image[y, x, 1] = green * light_green + shine_green
            image[y, x, 2] = blue * light_blue + shine_blue
