"""Compare two images of faces: cosine, angle, and the decision at the model's own threshold."""

from __future__ import annotations

from typing import NamedTuple, Tuple

import numpy as np

from arcface_mx.faces.embed import FaceOptions
from arcface_mx.faces.read import read_faces
from arcface_mx.metrics.calibration import Level
from arcface_mx.metrics.similarity import unit_vectors
from arcface_mx.model.embedder import Embedder
from arcface_mx.util.errors import UserError


class Comparison(NamedTuple):
    """Cosine and angle (degrees) of two embeddings, and what is unusual about the images."""

    cosine: float
    angle: float
    notes: Tuple[str, ...]

    def same(self, level: Level) -> bool:
        """Return whether the cosine reaches the threshold."""
        return self.cosine >= level.threshold


def compare(embedder: Embedder, first: str, second: str, options: FaceOptions) -> Comparison:
    """Compare two image files; UserError names the image that has no usable face."""
    faces = list(read_faces([first, second], embedder.input_size, options.align))
    for face in faces:
        if face.pixels is None:
            raise UserError(f"{face.path}: {face.note}")
    images = [face.pixels for face in faces if face.pixels is not None]
    unit = unit_vectors(embedder.embed(images, 2, options.flip == "sum").astype(np.float64))
    cosine = float(np.clip(unit[0] @ unit[1], -1, 1))
    notes = tuple(f"{face.path}: {face.note}" for face in faces if face.note)
    return Comparison(cosine, float(np.degrees(np.arccos(cosine))), notes)


def verdict(comparison: Comparison, level: Level) -> str:
    """The decision and what it is based on, in one line."""
    decision = "same identity" if comparison.same(level) else "different identities"
    return (
        f"{decision} at FAR {level.far:g}: threshold {level.threshold:.4f}, measured on {level.different} different "
        f"pairs (95 %: FAR {level.low:.1e} to {level.high:.1e}), accepts {100 * level.tar:.1f} % of same pairs"
    )
