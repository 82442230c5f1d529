"""Texture space: a cylinder around the head, so that all skin is painted in template coordinates.

MakeHuman's own UV map gives an eye a sixtieth of its width; the cylinder gives it six times that.
u runs from the identity's right to the left over ±110°, v from above the crown to below the neck.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from arcface_mx.data.rendered import raster

AXIS_Z = 0.45  # the axis passes here, dm
REACH = math.radians(110)  # the angle at the texture's edges
TOP, BOTTOM = 8.5, 5.9  # y at the texture's first and last row, dm
WIDTH, HEIGHT = 320, 256  # texels


def angle(points: np.ndarray) -> np.ndarray:
    """Angle around the axis, 0 in front, positive to the identity's left. points (…, 3)."""
    return np.arctan2(points[..., 0], points[..., 2] - AXIS_Z)


def u_of(theta: np.ndarray) -> np.ndarray:
    return (theta / REACH + 1) / 2


def v_of(y: Any) -> Any:
    return (TOP - y) / (TOP - BOTTOM)


def texel_angles() -> np.ndarray:
    """Angle of every column, (H, W) float32."""
    row = ((np.arange(WIDTH) + 0.5) / WIDTH * 2 - 1) * REACH
    return np.repeat(row[None], HEIGHT, 0).astype(np.float32)


def texel_heights() -> np.ndarray:
    """y of every row, (H, W) float32."""
    column = TOP - (np.arange(HEIGHT) + 0.5) / HEIGHT * (TOP - BOTTOM)
    return np.repeat(column[:, None], WIDTH, 1).astype(np.float32)


def bake(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """The template's outermost point behind every texel, (H, W, 3) float32."""
    import cv2

    theta = angle(vertices)
    across = np.ptp(theta[triangles], axis=1) >= math.pi  # over the seam at the back of the head
    triangles = np.ascontiguousarray(triangles[~across])
    x = (u_of(theta) * WIDTH).astype(np.float32)
    y = (v_of(vertices[:, 1]) * HEIGHT).astype(np.float32)
    depth = -np.hypot(vertices[:, 0], vertices[:, 2] - AXIS_Z).astype(np.float32)
    face, first, second = raster.plain_buffer(triangles, x, y, depth, HEIGHT, WIDTH)
    seen = face >= 0
    weights = np.stack([first, second, 1 - first - second], -1)
    points = (vertices[triangles[np.maximum(face, 0)]] * weights[..., None]).sum(2)
    points[~seen] = 0
    holes = (~seen).astype(np.uint8)
    filled = [cv2.inpaint(points[..., k].astype(np.float32), holes, 3, cv2.INPAINT_NS) for k in range(3)]
    return np.stack(filled, -1).astype(np.float32)
