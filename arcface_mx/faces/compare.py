"""Compare two images of faces: cosine, angle, and the decision at the model's own threshold."""

from __future__ import annotations

from typing import Dict, NamedTuple, Tuple

import numpy as np

from arcface_mx.faces.embed import FaceOptions
from arcface_mx.faces.read import read_faces
from arcface_mx.metrics.angles import degrees
from arcface_mx.metrics.calibration import Calibration
from arcface_mx.metrics.similarity import unit_vectors
from arcface_mx.metrics.verification import allowed_accepts
from arcface_mx.model.embedder import Embedder
from arcface_mx.util.errors import UserError, printable


class Comparison(NamedTuple):
    """Cosine and angle (degrees) of two embeddings, and what is unusual about the images."""

    cosine: float
    angle: float
    notes: Tuple[str, ...]


class Rule(NamedTuple):
    """A threshold, what it is based on in words, and the same as values for a JSON file."""

    threshold: float
    words: str
    values: Dict[str, object]

    def accepts(self, comparison: Comparison) -> bool:
        """Return whether the cosine reaches the threshold."""
        return comparison.cosine >= self.threshold

    def verdict(self, comparison: Comparison) -> str:
        """Return the decision and what it is based on, in one line."""
        return f"{'same identity' if self.accepts(comparison) else 'different identities'} at {self.words}"


def rule_at_threshold(threshold: float) -> Rule:
    """Return the rule of a threshold that somebody chose."""
    if not -1 <= threshold <= 1:
        raise UserError(f"`threshold` must be a cosine, -1 to 1, got {threshold:g}")
    return Rule(threshold, f"threshold {threshold:.4f}", {"threshold": threshold})


def rule_at_far(calibration: Calibration, far: float) -> Rule:
    """Return the rule of a false accept rate. UserError if the calibration has too few pairs for it."""
    if not far <= 1:
        raise UserError(f"`far` must be at most 1, got {far:g}")
    pairs = calibration.num_different
    if far not in calibration.levels and allowed_accepts(far, pairs) >= 1:
        threshold = calibration.threshold(far)
        words = f"FAR {far:g}: threshold {threshold:.4f}, measured on {pairs} different pairs"
        return Rule(threshold, words, {"far": far, "threshold": threshold, "different": pairs})
    level = calibration.level(far)
    words = (
        f"FAR {level.far:g}: threshold {level.threshold:.4f}, measured on {level.different} different "
        f"pairs (95 %: FAR {level.low:.1e} to {level.high:.1e}), accepts {100 * level.tar:.1f} % of same pairs"
    )
    return Rule(level.threshold, words, vars(level))


def compare(embedder: Embedder, first: str, second: str, options: FaceOptions) -> Comparison:
    """Compare two image files; UserError names the image that has no usable face."""
    faces = list(read_faces([first, second], embedder.input_size, options.align))
    for face in faces:
        if face.pixels is None:
            raise UserError(f"{face.path}: {face.note}")
    images = [face.pixels for face in faces if face.pixels is not None]
    unit = unit_vectors(embedder.embed(images, 2, options.flip == "sum").astype(np.float64))
    cosine = float(np.clip(unit[0] @ unit[1], -1, 1))
    notes = tuple(printable(f"{face.path}: {face.note}") for face in faces if face.note)
    return Comparison(cosine, float(degrees(np.asarray(cosine))), notes)
