"""Do two photos show one person? Cosine, angle, and the model's own threshold."""

from __future__ import annotations

from typing import NamedTuple, Optional, Tuple

import numpy as np

from arcface_mx.faces.embed import FaceOptions
from arcface_mx.faces.read import read_faces
from arcface_mx.metrics.calibration import Level
from arcface_mx.metrics.similarity import unit_vectors
from arcface_mx.model.embedder import Embedder
from arcface_mx.util.errors import UserError


class Comparison(NamedTuple):
    """cosine of the two embeddings; angle in degrees; notes: what to know of the photos."""

    cosine: float
    angle: float
    notes: Tuple[str, ...]

    def same(self, level: Level) -> bool:
        return self.cosine >= level.threshold


def compare(embedder: Embedder, first: str, second: str, options: FaceOptions) -> Comparison:
    """Compare two photo files. Raises UserError naming the photo that has no usable face."""
    faces = list(read_faces([first, second], embedder.input_size, options.align))
    for face in faces:
        if face.pixels is None:
            raise UserError(f"{face.path}: {face.told}")
    images = [face.pixels for face in faces if face.pixels is not None]
    unit = unit_vectors(embedder.embed(images, 2, options.flip == "sum").astype(np.float64))
    cosine = float(np.clip(unit[0] @ unit[1], -1, 1))
    notes = tuple(f"{face.path}: {face.told}" for face in faces if face.told)
    return Comparison(cosine, float(np.degrees(np.arccos(cosine))), notes)


def verdict(found: Comparison, level: Optional[Level]) -> str:
    """One line: the decision and what it rests on."""
    if level is None:
        return "no decision: the model is not calibrated (arcface-mx calibrate)"
    told = "same person" if found.same(level) else "different people"
    return (
        f"{told} at FAR {level.far:g}: threshold {level.threshold:.4f}, measured on {level.different} "
        f"different-person pairs (95 %: FAR {level.low:.1e} to {level.high:.1e}), accepts "
        f"{100 * level.tar:.1f} % of same-person pairs"
    )
