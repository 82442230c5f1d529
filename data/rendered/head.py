"""The template head, which all identities share: mesh, morph targets, vertex attributes."""

from __future__ import annotations

from typing import Dict, List, Tuple

import numpy as np

from arcface_mx.data.rendered import assets, uv_map
from arcface_mx.data.rendered.raster import SKIN, Mesh
from arcface_mx.data.rendered.sampling import smooth_step

# Spots of the skin: centre and width on the template, dm.
CHEEK = (0.42, 6.92), (0.20, 0.20)
NOSE = (0.0, 6.95), (0.16, 0.16)
FOREHEAD = (0.0, 7.8), (0.55, 0.25)
CHIN = (0.0, 6.3), (0.20, 0.14)
WEIGHT_ROWS = ("head-fat-incr", "l-cheek-volume-incr", "r-cheek-volume-incr", "neck-double-incr")


class Head:
    """The arrays of `assets.build`, ready for use.

    V vertices, T triangles, R local coefficients, E expression targets. Lengths are in decimetres.
    """

    def __init__(self, arrays: Dict[str, np.ndarray]) -> None:
        self.vertices = arrays["vertices"]  # (V, 3) float32
        self.count = len(self.vertices)
        self.mesh = Mesh(arrays["triangles"], arrays["material"])
        self.skin_triangles = self.mesh.triangles[self.mesh.material == SKIN]
        self.body = arrays["body"]  # (V,) bool; False on eyes, teeth and tongue
        self.skull = np.flatnonzero(self.body & (self.vertices[:, 1] > assets.SKULL))
        self.left_eye, self.right_eye = arrays["left_eye"], arrays["right_eye"]
        self.nose, self.right_mouth, self.left_mouth = (int(number) for number in arrays["landmarks"])
        self.lips, self.ears = arrays["lips"], arrays["ears"]
        self.inside_mouth, self.lash = arrays["inside_mouth"], arrays["lash"]
        self.occlusion = arrays["occlusion"]

        self.macro = dict(zip(arrays["macro_names"].tolist(), _flat(arrays["macro"])))  # each (3V,)
        self.row_names: List[str] = arrays["row_names"].tolist()
        # Displacements of the local coefficients, (R, 3V) each.
        self.negative, self.positive = _flat(arrays["row_negative"]), _flat(arrays["row_positive"])
        # Displacements for one unit of body weight, and of MakeHuman's own ageing of the head, (3V,) each. The
        # `universal` weight targets hardly move the face, so weight acts through the local targets WEIGHT_ROWS.
        heavy_rows = [k for k, name in enumerate(self.row_names) if name in WEIGHT_ROWS]
        self.heavier = self.centred(self.positive[heavy_rows].sum(0) * np.float32(0.8))
        self.aged = self.centred(self.positive[self.row_names.index("head-age-incr")])
        self.expression_names: List[str] = arrays["expression_names"].tolist()
        self.expression = _flat(arrays["expression"])  # (E, 3V)

        self.theta = uv_map.angle(self.vertices).astype(np.float32)
        self.u, self.v = uv_map.u_of(self.theta), uv_map.v_of(self.vertices[:, 1])
        # Gloss and blush vary slowly, so vertex attributes are fine enough for them.
        x, y = np.abs(self.vertices[:, 0]), self.vertices[:, 1]
        cheek, nose, forehead, chin = (blob(x, y, *spot) for spot in (CHEEK, NOSE, FOREHEAD, CHIN))
        self.gloss = (0.6 + 0.9 * nose + 0.6 * forehead + 0.4 * cheek + 0.2 * chin).astype(np.float32)
        self.blush = ((cheek + 0.7 * nose) * smooth_step(0.6, 1.0, self.vertices[:, 2])).astype(np.float32)

        self.map_x, self.map_y, self.map_z = (np.ascontiguousarray(arrays["map"][..., k]) for k in range(3))

    def centred(self, flat: np.ndarray) -> np.ndarray:
        """Shift vertices (3V,) so that the mean of the skull is 0: every target of the body also lifts the head."""
        points = flat.reshape(-1, 3)
        return (points - points[self.skull].mean(0)).astype(np.float32).ravel()

    @classmethod
    def load(cls) -> Head:
        return cls(assets.load())


def blob(x: np.ndarray, y: np.ndarray, centre: Tuple[float, float], width: Tuple[float, float]) -> np.ndarray:
    """A Gaussian spot on the template, exp(-1) at `width` from its centre. Lengths in dm."""
    return np.exp(-(((x - centre[0]) / width[0]) ** 2 + ((y - centre[1]) / width[1]) ** 2))


def _flat(targets: np.ndarray) -> np.ndarray:
    return targets.astype(np.float32).reshape(len(targets), -1)
