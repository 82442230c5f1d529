"""Geometry of hair: a hairline on the scalp that is pushed outwards, and a curtain for long hair.

The curtain is a grid around the head: its upper rows rest on the scalp, its lower rows hang from
the last of them. It opens in front; edges and ends are frayed by the strands' texture.
"""

from __future__ import annotations

from typing import Tuple

import numpy as np

from arcface_mx.data.rendered import raster, uv_map
from arcface_mx.data.rendered.hair import Hair
from arcface_mx.data.rendered.head import Head
from arcface_mx.data.rendered.sampling import noise, smooth_step

SEATED = (8.44, 8.32, 8.12, 7.88, 7.62, 7.36)  # y of the rows that rest on the scalp, dm
HANGING = 8  # rows below
COLUMNS = 44
TEXTURE_SEED = 20190620  # strand textures are the same for everybody


class HairMesh:
    """Hair on one template. C = COLUMNS · (len(SEATED) + HANGING) curtain vertices."""

    def __init__(self, head: Head) -> None:
        self.head = head
        self.rows = len(SEATED) + HANGING
        self.count = self.rows * COLUMNS
        # The seam is at the back; the last column repeats the first.
        self.column_theta = np.linspace(-np.pi, np.pi, COLUMNS).astype(np.float32)
        self.seats, self.seat_weights = self._seats()
        self.triangles = self._grid(head.count)
        self.strands = strand_textures()
        # People's skulls are centred; long hair hangs around an axis 1.5 cm behind the template's.
        self.hang_z = np.float32(uv_map.AXIS_Z - 0.15 - head.vertices[head.skull, 2].mean())
        theta = np.tile(self.column_theta, self.rows)
        self.theta = theta
        self.row_of = np.repeat(np.arange(self.rows), COLUMNS)
        self.u = (theta / (2 * np.pi) + 0.5).astype(np.float32) * 3  # strands as fine as on the scalp
        self.v = (self.row_of / (self.rows - 1.0)).astype(np.float32)
        at = np.abs(head.theta)
        self._front = smooth_step(0.62, 1.0, at)
        self._aside = smooth_step(1.0, 1.3, at) * (at > 1.0)
        self._back = smooth_step(1.55, 1.9, at)
        self._off_ears = (1 - np.clip(head.ears * 1.5, 0, 1)) * head.body

    def scalp_field(self, hair: Hair) -> np.ndarray:
        """Height above the hairline of every vertex of the head, (V,) float32, dm; ears below it."""
        theta, at = self.head.theta, np.abs(self.head.theta)
        line = hair.top - hair.peak * np.exp(-((theta / 0.16) ** 2)) - 0.10 * (at / 0.6) ** 2
        line = line + hair.temple * np.exp(-(((at - 0.55) / 0.22) ** 2)) - 0.62 * self._front
        if hair.fringe > 0:
            over = 1 - smooth_step(0.45, 0.85, at)
            line = line - hair.fringe * over * (1 + hair.sweep * np.clip(theta, -0.8, 0.8) * 2)
        line = line + (hair.side - line) * self._aside - (hair.side - 6.55) * self._back
        field = self.head.vertices[:, 1] - line
        return np.where(self._off_ears > 0.5, field, -0.5).astype(np.float32)

    def push(self, hair: Hair, points: np.ndarray, normals: np.ndarray, field: np.ndarray) -> np.ndarray:
        """The head's points (V, 3) with the scalp pushed outwards by the hair's thickness."""
        theta, y = self.head.theta, self.head.vertices[:, 1]
        uneven = 1 + hair.lumps * np.sin(5 * theta + hair.seed) * np.sin(7 * y + 2 * hair.seed)
        thickness = hair.volume * smooth_step(0.0, 0.30, field) * self._off_ears * uneven
        return points + normals * thickness[:, None].astype(np.float32)

    def curtain(self, hair: Hair, points: np.ndarray, normals: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
        """Long hair over the pushed scalp: points (C, 3), and edge (C,), positive inside."""
        over_ears = 0.17 * np.exp(-(((np.abs(self.column_theta) - 1.5) / 0.45) ** 2))
        rest = (points[self.seats] * self.seat_weights[..., None]).sum(1)
        out = (normals[self.seats] * self.seat_weights[..., None]).sum(1)
        rest = (rest + out * np.float32(0.03)).reshape(len(SEATED), COLUMNS, 3)
        radial = np.stack([np.sin(self.column_theta), np.zeros(COLUMNS), np.cos(self.column_theta)], 1)
        for row, share in ((4, 0.5), (5, 1.0)):
            rest[row] += (radial * over_ears[:, None] * share).astype(np.float32)
        t = (np.arange(1, HANGING + 1) / HANGING)[:, None]
        last = rest[-1]
        waves = np.sin(9 * t + 4 * self.column_theta + hair.seed) * np.minimum(1, 2 * t)
        swing = 1 + hair.flare * t + hair.waves * waves
        hang = np.empty((HANGING, COLUMNS, 3), np.float32)
        hang[..., 0] = last[:, 0] * swing
        hang[..., 2] = self.hang_z + (last[:, 2] - self.hang_z) * swing
        hang[..., 1] = last[:, 1] + (hair.length - SEATED[-1]) * t
        return np.concatenate([rest, hang]).reshape(-1, 3), self._edge(hair)

    def _edge(self, hair: Hair) -> np.ndarray:
        row = self.row_of
        opening = np.interp(row, (0, 1, len(SEATED) - 1, self.rows - 1), (0.0, 0.25, hair.curtain, hair.curtain * 0.95))
        shift = hair.parting * np.interp(row, (0, len(SEATED) - 1), (1, 0))
        inside = (np.abs(self.theta - shift) - opening) * 4
        ends = (self.rows - 1 - row) * 0.8
        return np.minimum(np.minimum(inside, ends), 1).astype(np.float32)

    def _seats(self) -> Tuple[np.ndarray, np.ndarray]:
        """Three scalp vertices under each seated point and their weights, (6·COLUMNS, 3) each."""
        head = self.head
        outer = np.flatnonzero(head.body & (head.vertices[:, 1] > 7.0) & (head.ears < 0.1) & (head.inside_mouth < 0.1))
        radius = np.hypot(head.vertices[outer, 0], head.vertices[outer, 2] - uv_map.AXIS_Z)
        # Above the crown's rim all angles are near; below, only the outer skin counts (no sockets).
        outer = outer[(radius > 0.55) | (head.vertices[outer, 1] > 8.0)]
        place = np.stack([head.theta[outer], head.vertices[outer, 1] * 2.0], 1)
        seats, weights = [], []
        for y in SEATED:
            for theta in self.column_theta:
                turn = np.abs(place[:, 0] - theta)
                turn = np.minimum(turn, 2 * np.pi - turn)
                distance = np.hypot(turn, place[:, 1] - y * 2.0) + 1e-3
                near = np.argsort(distance, kind="stable")[:3]
                weight = 1 / distance[near] ** 2
                seats.append(outer[near])
                weights.append(weight / weight.sum())
        return np.asarray(seats), np.asarray(weights, np.float32)

    def _grid(self, first: int) -> np.ndarray:
        corner = np.arange(self.rows * COLUMNS).reshape(self.rows, COLUMNS) + first
        a, b, c, d = corner[:-1, :-1], corner[:-1, 1:], corner[1:, 1:], corner[1:, :-1]
        triangles = np.concatenate([np.stack([a, d, c], -1).reshape(-1, 3), np.stack([a, c, b], -1).reshape(-1, 3)])
        return triangles.astype(np.int32)


def strand_textures() -> np.ndarray:
    """Six textures of strands (6, H, W) float32 in 0…1: fine, coarse, wavy, curly, cloth, knit."""
    import cv2

    shape = (uv_map.HEIGHT, uv_map.WIDTH)
    rng = np.random.default_rng(TEXTURE_SEED)

    def combed(across: float, along: float) -> np.ndarray:
        grain = cv2.GaussianBlur(rng.standard_normal(shape).astype(np.float32), (0, 0), sigmaX=across, sigmaY=along)
        return grain / grain.std()

    rows = np.arange(shape[0], dtype=np.float32)[:, None].repeat(shape[1], 1)
    columns = np.arange(shape[1], dtype=np.float32)[None].repeat(shape[0], 0)
    bent = columns + 5 * np.sin(rows / 9)
    wavy = cv2.remap(combed(1.0, 6.0), bent, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    knit = np.sin(columns * 1.3) + np.sin(rows * 1.1)
    kinds = (
        0.16 * combed(0.9, 6.0) + 0.08 * noise(rng, shape, 14, 2),
        0.16 * combed(1.8, 9.0) + 0.10 * noise(rng, shape, 18, 2),
        0.17 * wavy + 0.09 * noise(rng, shape, 14, 2),
        0.22 * noise(rng, shape, 6, 2),
        0.12 * noise(rng, shape, 30, 2),
        0.10 * knit + 0.06 * noise(rng, shape, 20, 1),
    )
    return np.ascontiguousarray(np.clip(0.5 + np.stack(kinds), 0, 1).astype(np.float32))


def materials(head: Head, mesh: HairMesh) -> Tuple[np.ndarray, np.ndarray]:
    """Triangles and materials of the head with its curtain, the curtain last."""
    triangles = np.concatenate([head.triangles, mesh.triangles])
    material = np.concatenate([head.material, np.full(len(mesh.triangles), raster.HAIR, np.int32)])
    return np.ascontiguousarray(triangles), np.ascontiguousarray(material)
