"""UV map: a cylinder around the head, so that skin is painted in the coordinates of the template.

MakeHuman's own UV map gives an eye a sixtieth of the texture's width, the cylinder six times that.
u runs from the head's right to its left over ±110°, v from above the crown to below the neck.
"""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np

from arcface_mx.data.rendered import raster

AXIS_Z = 0.45  # z of the cylinder's axis, dm
REACH = math.radians(110)  # angle at the texture's edges
TOP, BOTTOM = 8.5, 5.9  # y at the texture's first and last row, dm
WIDTH, HEIGHT = 320, 256  # texels


def angle(points: np.ndarray) -> np.ndarray:
    """Angle around the axis, rad: 0 in front, positive to the head's left. points (…, 3)."""
    return np.arctan2(points[..., 0], points[..., 2] - AXIS_Z)


def u_of(theta: Any) -> Any:
    return (theta / REACH + 1) / 2


def v_of(y: Any) -> Any:
    return (TOP - y) / (TOP - BOTTOM)


def texel_angles() -> np.ndarray:
    """Angle of every texel, (H, W) float32, rad."""
    row = ((np.arange(WIDTH) + 0.5) / WIDTH * 2 - 1) * REACH
    return np.repeat(row[None], HEIGHT, 0).astype(np.float32)


def texel_heights() -> np.ndarray:
    """y of every texel, (H, W) float32, dm."""
    column = TOP - (np.arange(HEIGHT) + 0.5) / HEIGHT * (TOP - BOTTOM)
    return np.repeat(column[:, None], WIDTH, 1).astype(np.float32)


def bake_positions(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """The template's outermost point at every texel, (H, W, 3) float32, dm."""
    theta = angle(vertices)
    across = np.ptp(theta[triangles], axis=1) >= math.pi  # over the seam at the back of the head
    triangles = np.ascontiguousarray(triangles[~across])
    depth = -np.hypot(vertices[:, 0], vertices[:, 2] - AXIS_Z)
    screen = np.stack([u_of(theta) * WIDTH, v_of(vertices[:, 1]) * HEIGHT, depth], 1).astype(np.float32)
    fragments = raster.rasterize(triangles, screen, raster.empty_fragments(HEIGHT, WIDTH), margin=1e-6)
    first, second, covered = fragments.first, fragments.second, fragments.triangle >= 0
    weights = np.stack([first, second, 1 - first - second], -1)
    points = (vertices[triangles[np.maximum(fragments.triangle, 0)]] * weights[..., None]).sum(2)
    points[~covered] = 0
    holes = (~covered).astype(np.uint8)
    filled = [cv2.inpaint(points[..., k].astype(np.float32), holes, 3, cv2.INPAINT_NS) for k in range(3)]
    return np.stack(filled, -1).astype(np.float32)
