"""Search a gallery for the identities of image files."""

from __future__ import annotations

import dataclasses
from typing import Callable, Dict, List, NamedTuple, Optional, Sequence

from arcface_mx.faces.embed import FaceOptions, embed_faces
from arcface_mx.faces.gallery import Gallery, Match, search, unknown_threshold
from arcface_mx.metrics.calibration import Calibration
from arcface_mx.model.embedder import Embedder
from arcface_mx.model.load import model_fingerprint
from arcface_mx.util.errors import UserError, printable


class SearchOptions(NamedTuple):
    """How a gallery is searched."""

    fpir: float = 0.01  # share of strangers that may be named
    k: int = 3  # identities listed for each image
    faiss: bool = False  # search with faiss instead of NumPy


@dataclasses.dataclass(frozen=True)
class Answer:
    """The answer for one face: a name or "unknown", and the nearest identities, best first."""

    image: str
    answer: str
    matches: List[Match]
    face: int = 1  # its number in the image
    note: str = ""  # what is unusual about the image, such as several faces


@dataclasses.dataclass(frozen=True)
class SearchResult:
    """The answers of a search, and what they rest on."""

    threshold: Optional[float]  # the cosine below which nobody is named; None names everybody
    fpir: float
    entries: int  # size of the gallery
    images: List[Answer]
    skipped: Dict[str, str]  # reasons by image without a usable face


def find_identities(
    open_model: Callable[[], Embedder],
    model: str,
    gallery: Gallery,
    paths: Sequence[str],
    calibration: Optional[Calibration],
    options: FaceOptions,
    search_options: SearchOptions,
    convention: Optional[str] = None,
) -> SearchResult:
    """Search a gallery for the identities of image files. Without calibration everybody is named.

    `convention` is the model's input as the user states it. Raises UserError if the gallery was made
    with other parameters or another input than those of `model`, or the
    calibration has too few pairs for the threshold.
    """
    fpir, k, faiss = search_options
    if k < 1:
        raise UserError(f"`k` must be at least 1, got {k}")
    fingerprint = model_fingerprint(model, convention)
    if fingerprint != gallery.model:
        raise UserError(f"the gallery was made with other parameters than those of {model}; build it again")
    entries = len(gallery.names)
    threshold = unknown_threshold(calibration, fpir, entries) if calibration else None
    faces = embed_faces(open_model(), fingerprint, paths, options)
    answers = []
    for row, matches in enumerate(search(gallery, faces.vectors, k, faiss)):
        named = threshold is None or matches[0].cosine >= threshold
        name = matches[0].name if named else "unknown"
        answers.append(Answer(str(faces.paths[row]), name, matches, int(faces.faces[row]), str(faces.notes[row])))
    return SearchResult(threshold, fpir, entries, answers, faces.reason_of)


def answer_lines(result: SearchResult) -> List[str]:
    """One line per face: the answer, then the nearest identities with their cosines, and a note."""
    lines = []
    if result.threshold is not None:
        lines.append(f"unknown below cosine {result.threshold:.4f}: FPIR {result.fpir:g} among {result.entries} images")
    for answer in result.images:
        nearest = ", ".join(f"{match.name} {match.cosine:.4f}" for match in answer.matches)
        note = f" [{answer.note}]" if answer.note else ""
        lines.append(printable(f"{answer.image}: {answer.answer} ({nearest}){note}"))
    return lines
