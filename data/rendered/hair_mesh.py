"""Hair geometry: the scalp above the hairline, pushed outwards, and a curtain for long hair.

The curtain is a grid around the head. Its upper rows rest on the scalp, its lower rows hang from
the last of them. It is open in front. The strand texture frays its edges and ends.
"""

from __future__ import annotations

from typing import Tuple

import cv2
import numpy as np

from arcface_mx.data.rendered import uv_map
from arcface_mx.data.rendered.hair import Hair
from arcface_mx.data.rendered.head import Head
from arcface_mx.data.rendered.raster import HAIR, Mesh
from arcface_mx.data.rendered.sampling import noise, smooth_step

SEATED = (8.44, 8.32, 8.12, 7.88, 7.62, 7.36)  # y of the rows that rest on the scalp, dm
HANGING = 8  # rows below them
ROWS, COLUMNS = len(SEATED) + HANGING, 44
TEXTURE_SEED = 20190620  # all images share the strand textures


class HairMesh:
    """Hair on one template. The curtain has C = ROWS · COLUMNS vertices."""

    def __init__(self, head: Head) -> None:
        self.head = head
        self.count = ROWS * COLUMNS
        # The seam is at the back; the last column repeats the first.
        self.column_theta = np.linspace(-np.pi, np.pi, COLUMNS).astype(np.float32)
        self.seats, self.seat_weights = self._seats()
        triangles = _grid(head.count)
        self.mesh = Mesh(  # the head with its curtain
            np.concatenate([head.mesh.triangles, triangles]),
            np.concatenate([head.mesh.material, np.full(len(triangles), HAIR, np.int32)]),
        )
        self.strands = strand_textures()
        # Skulls are centred at the origin. The axis of long hair is 1.5 cm behind the cylinder's.
        self.hang_z = np.float32(uv_map.AXIS_Z - 0.15 - head.vertices[head.skull, 2].mean())
        self.theta = np.tile(self.column_theta, ROWS)
        self.row = np.repeat(np.arange(ROWS), COLUMNS)
        # The factor makes strands as fine as on the scalp.
        self.u = (self.theta / (2 * np.pi) + 0.5).astype(np.float32) * 3
        self.v = (self.row / (ROWS - 1.0)).astype(np.float32)
        away = np.abs(head.theta)
        self._front = smooth_step(0.62, 1.0, away)
        self._aside = smooth_step(1.0, 1.3, away) * (away > 1.0)
        self._back = smooth_step(1.55, 1.9, away)
        self._off_ears = (1 - np.clip(head.ears * 1.5, 0, 1)) * head.body

    def scalp_field(self, hair: Hair) -> np.ndarray:
        """Height of the vertices above the hairline, (V,) float32, dm. Ears are below it."""
        theta, away = self.head.theta, np.abs(self.head.theta)
        line = hair.top - hair.peak * np.exp(-((theta / 0.16) ** 2)) - 0.10 * (away / 0.6) ** 2
        line = line + hair.temple * np.exp(-(((away - 0.55) / 0.22) ** 2)) - 0.62 * self._front
        if hair.fringe > 0:
            over = 1 - smooth_step(0.45, 0.85, away)
            line = line - hair.fringe * over * (1 + hair.sweep * np.clip(theta, -0.8, 0.8) * 2)
        line = line + (hair.side - line) * self._aside - (hair.side - 6.55) * self._back
        field = self.head.vertices[:, 1] - line
        return np.where(self._off_ears > 0.5, field, -0.5).astype(np.float32)

    def push(self, hair: Hair, points: np.ndarray, normals: np.ndarray, field: np.ndarray) -> np.ndarray:
        """The head's points (V, 3) with the scalp pushed outwards by the thickness of the hair."""
        theta, y = self.head.theta, self.head.vertices[:, 1]
        uneven = 1 + hair.lumps * np.sin(5 * theta + hair.seed) * np.sin(7 * y + 2 * hair.seed)
        thickness = hair.volume * smooth_step(0.0, 0.30, field) * self._off_ears * uneven
        return points + normals * thickness[:, None].astype(np.float32)

    def curtain(self, hair: Hair, points: np.ndarray, normals: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
        """Long hair over the pushed scalp: points (C, 3) and edge values (C,), positive inside."""
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
        seated = len(SEATED) - 1
        opening = np.interp(self.row, (0, 1, seated, ROWS - 1), (0.0, 0.25, hair.curtain, hair.curtain * 0.95))
        shift = hair.parting * np.interp(self.row, (0, seated), (1, 0))
        inside = (np.abs(self.theta - shift) - opening) * 4
        ends = (ROWS - 1 - self.row) * 0.8
        return np.minimum(np.minimum(inside, ends), 1).astype(np.float32)

    def _seats(self) -> Tuple[np.ndarray, np.ndarray]:
        """Three scalp vertices under each seated point, and weights: (6 · COLUMNS, 3) each."""
        head = self.head
        outer = np.flatnonzero(head.body & (head.vertices[:, 1] > 7.0) & (head.ears < 0.1) & (head.inside_mouth < 0.1))
        radius = np.hypot(head.vertices[outer, 0], head.vertices[outer, 2] - uv_map.AXIS_Z)
        # Near the crown every radius counts, below it only the outer skin: no eye sockets.
        outer = outer[(radius > 0.55) | (head.vertices[outer, 1] > 8.0)]
        seats, weights = [], []
        for y in SEATED:
            for theta in self.column_theta:
                turn = np.abs(head.theta[outer] - theta)
                turn = np.minimum(turn, 2 * np.pi - turn)
                distance = np.hypot(turn, head.vertices[outer, 1] * 2.0 - y * 2.0) + 1e-3
                near = np.argsort(distance, kind="stable")[:3]
                weight = 1 / distance[near] ** 2
                seats.append(outer[near])
                weights.append(weight / weight.sum())
        return np.asarray(seats), np.asarray(weights, np.float32)


def _grid(first: int) -> np.ndarray:
    """Triangles (T, 3) int32 of the curtain, whose vertices are numbered from `first`."""
    corner = np.arange(ROWS * COLUMNS).reshape(ROWS, COLUMNS) + first
    a, b, c, d = corner[:-1, :-1], corner[:-1, 1:], corner[1:, 1:], corner[1:, :-1]
    triangles = np.concatenate([np.stack([a, d, c], -1).reshape(-1, 3), np.stack([a, c, b], -1).reshape(-1, 3)])
    return triangles.astype(np.int32)


def strand_textures() -> np.ndarray:
    """Six strand textures (6, H, W) float32 in 0…1: fine, coarse, wavy, curly, cloth, knit."""
    shape = (uv_map.HEIGHT, uv_map.WIDTH)
    rng = np.random.default_rng(TEXTURE_SEED)

    def combed(across: float, along: float) -> np.ndarray:
        grain = cv2.GaussianBlur(rng.standard_normal(shape).astype(np.float32), (0, 0), sigmaX=across, sigmaY=along)
        return grain / grain.std()

    rows, columns = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    bent = columns + 5 * np.sin(rows / 9)
    wavy = cv2.remap(combed(1.0, 6.0), bent, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    knit = np.sin(columns * 1.3) + np.sin(rows * 1.1)
    textures = (
        0.16 * combed(0.9, 6.0) + 0.08 * noise(rng, shape, 14, 2),
        0.16 * combed(1.8, 9.0) + 0.10 * noise(rng, shape, 18, 2),
        0.17 * wavy + 0.09 * noise(rng, shape, 14, 2),
        0.22 * noise(rng, shape, 6, 2),
        0.12 * noise(rng, shape, 30, 2),
        0.10 * knit + 0.06 * noise(rng, shape, 20, 1),
    )
    return np.ascontiguousarray(np.clip(0.5 + np.stack(textures), 0, 1).astype(np.float32))
