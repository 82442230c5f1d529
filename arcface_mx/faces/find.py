"""Photos against a gallery: the answers, with the threshold they rest on."""

from __future__ import annotations

import dataclasses
from typing import Any, Callable, Dict, List, Optional, Sequence

from arcface_mx.faces.embed import FaceOptions, embed_faces
from arcface_mx.faces.gallery import Gallery, Match, name_or_unknown, search, unknown_threshold
from arcface_mx.metrics.calibration import Calibration
from arcface_mx.model.embedder import Embedder
from arcface_mx.util.errors import UserError
from arcface_mx.verify.calibration_file import model_fingerprint


@dataclasses.dataclass(frozen=True)
class Answers:
    """photos, matches (best people first) and names go together. threshold: None where all are named."""

    photos: List[str]
    matches: List[List[Match]]
    names: List[str]
    threshold: Optional[float]
    fpir: float
    entries: int
    skipped: List[str]
    reasons: List[str]

    def to_json(self) -> Dict[str, Any]:
        """Plain values."""
        found = [
            {"photo": photo, "answer": name, "matches": [match._asdict() for match in matches]}
            for photo, name, matches in zip(self.photos, self.names, self.matches)
        ]
        return {
            "threshold": self.threshold,
            "fpir": self.fpir,
            "entries": self.entries,
            "photos": found,
            "skipped": dict(zip(self.skipped, self.reasons)),
        }


def find_people(
    open_model: Callable[[], Embedder],
    model: str,
    gallery: Gallery,
    paths: Sequence[str],
    calibration: Optional[Calibration],
    fpir: float,
    k: int,
    options: FaceOptions,
    faiss: bool = False,
) -> Answers:
    """Search a gallery for the people of photo files. calibration: None names the nearest in any case.

    Raises UserError where the gallery was made with other parameters than `model` has, or the
    calibration cannot tell the threshold.
    """
    if k < 1:
        raise UserError(f"-k {k}: must be at least 1")
    fingerprint = model_fingerprint(model)
    if fingerprint != gallery.model:
        raise UserError(f"the gallery was made with other parameters than {model} has; build it again")
    entries = len(gallery.names)
    threshold = unknown_threshold(calibration, fpir, entries) if calibration else None
    found = embed_faces(open_model(), fingerprint, paths, options)
    matches = search(gallery, found.vectors, k, faiss) if len(found.paths) else []
    names = [name_or_unknown(best, threshold) for best in matches]
    return Answers(
        found.paths.tolist(), matches, names, threshold, fpir, entries, found.skipped.tolist(), found.reasons.tolist()
    )


def table_lines(answers: Answers) -> List[str]:
    """A line a photo: the answer, then the nearest people with their cosines."""
    lines = []
    if answers.threshold is not None:
        lines.append(
            f"unknown below cosine {answers.threshold:.4f}: FPIR {answers.fpir:g} among {answers.entries} photos"
        )
    for photo, name, matches in zip(answers.photos, answers.names, answers.matches):
        nearest = ", ".join(f"{match.name} {match.cosine:.4f}" for match in matches)
        lines.append(f"{photo}: {name} ({nearest})")
    return lines
