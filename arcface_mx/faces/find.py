"""Search a gallery for the identities of image files."""

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
class SearchOptions:
    """How a gallery is searched.

    Parameters
    ----------
    fpir : float
        Share of strangers that may be named.
    k : int
        Number of identities listed for each image.
    faiss : bool
        Search with faiss instead of NumPy.
    """

    fpir: float = 0.01
    k: int = 3
    faiss: bool = False


@dataclasses.dataclass(frozen=True)
class Answers:
    """Answers for n images.

    Parameters
    ----------
    images, names : list of str, length n
        Image files, and the name of each or "unknown".
    matches : list of list of Match, length n
        The best identities of each image, best first.
    threshold : float or None
        The cosine below which nobody is named; None names everybody.
    fpir : float
    entries : int
        Size of the gallery.
    skipped, reasons : list of str
        Image files without a usable face.
    """

    images: List[str]
    matches: List[List[Match]]
    names: List[str]
    threshold: Optional[float]
    fpir: float
    entries: int
    skipped: List[str]
    reasons: List[str]

    def to_json(self) -> Dict[str, Any]:
        """Return plain values."""
        return {
            "threshold": self.threshold,
            "fpir": self.fpir,
            "entries": self.entries,
            "images": [
                {"image": image, "answer": name, "matches": [match._asdict() for match in matches]}
                for image, name, matches in zip(self.images, self.names, self.matches)
            ],
            "skipped": dict(zip(self.skipped, self.reasons)),
        }


def find_identities(
    open_model: Callable[[], Embedder],
    model: str,
    gallery: Gallery,
    paths: Sequence[str],
    calibration: Optional[Calibration],
    options: FaceOptions,
    search_options: SearchOptions = SearchOptions(),
) -> Answers:
    """Search a gallery for the identities of image files. Without calibration the nearest is named.

    Raises UserError if the gallery was made with other parameters than those of `model`, or the
    calibration does not reach the threshold.
    """
    fpir, k = search_options.fpir, search_options.k
    if k < 1:
        raise UserError(f"`k` must be at least 1, got {k}")
    fingerprint = model_fingerprint(model)
    if fingerprint != gallery.model:
        raise UserError(f"the gallery was made with other parameters than those of {model}; build it again")
    entries = len(gallery.names)
    threshold = unknown_threshold(calibration, fpir, entries) if calibration else None
    faces = embed_faces(open_model(), fingerprint, paths, options)
    matches = search(gallery, faces.vectors, k, search_options.faiss) if len(faces.paths) else []
    return Answers(
        faces.paths.tolist(),
        matches,
        [name_or_unknown(best, threshold) for best in matches],
        threshold,
        fpir,
        entries,
        faces.skipped.tolist(),
        faces.reasons.tolist(),
    )


def answer_lines(answers: Answers) -> List[str]:
    """One line an image: the answer, then the nearest identities with their cosines."""
    lines = []
    if answers.threshold is not None:
        lines.append(
            f"unknown below cosine {answers.threshold:.4f}: FPIR {answers.fpir:g} among {answers.entries} images"
        )
    for image, name, matches in zip(answers.images, answers.names, answers.matches):
        nearest = ", ".join(f"{match.name} {match.cosine:.4f}" for match in matches)
        lines.append(f"{image}: {name} ({nearest})")
    return lines
