"""A gallery of known people, and who in it a photo shows, or nobody.

Every photo of the gallery is an entry; a person's score is that of their best photo. A stranger is
taken for somebody when any of N entries matches, with probability 1 − (1 − FMR)^N for a false match
rate FMR of one comparison, if comparisons are independent. So a wanted false positive
identification rate FPIR needs the threshold of FMR = 1 − (1 − FPIR)^(1/N), which rises with N.
Search is exact: one matrix product.
"""

from __future__ import annotations

import math
from typing import Any, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from arcface_mx.faces.embed import Embeddings
from arcface_mx.faces.store import read_fields, write_fields
from arcface_mx.metrics.calibration import Calibration
from arcface_mx.metrics.similarity import unit_vectors
from arcface_mx.util.errors import UserError

CHUNK = 128  # entries
BLOCK = 256  # probes: with 100,000 entries 100 MB of cosines


class Gallery(NamedTuple):
    """N entries. names, paths: (N,). vectors: (N, d) float32 of length 1. The rest as in Embeddings."""

    names: np.ndarray
    paths: np.ndarray
    vectors: np.ndarray
    model: str
    align: bool
    flip: str


class Match(NamedTuple):
    """A person of the gallery, the cosine of their best photo, and that photo."""

    name: str
    cosine: float
    path: str


def make_gallery(found: Embeddings, names: Mapping[str, str]) -> Gallery:
    """names: whose photo each path shows. Raises UserError where no photo has a face."""
    if not len(found.paths):
        raise UserError(f"gallery: no photo has a usable face ({found.skipped[0]}: {found.reasons[0]})")
    vectors = unit_vectors(found.vectors, "gallery").astype(np.float32)
    people = np.asarray([names[path] for path in found.paths.tolist()], str)
    return Gallery(people, found.paths, vectors, found.model, found.align, found.flip)


def write_gallery(path: str, gallery: Gallery) -> None:
    """Write a `.npz`, whole or not at all."""
    write_fields(path, gallery)


def read_gallery(path: str) -> Gallery:
    """Read what `write_gallery` wrote. Raises UserError where it is something else."""
    return Gallery(**read_fields(path, Gallery._fields, "arcface-mx gallery build", "is no gallery"))


def false_match_rate(fpir: float, entries: int) -> float:
    """FMR of one comparison at which a stranger raises an alarm among `entries` with probability `fpir`."""
    return -math.expm1(math.log1p(-fpir) / entries)


def unknown_threshold(calibration: Calibration, fpir: float, entries: int) -> float:
    """The cosine under which nobody is named. Raises UserError where the calibration has too few pairs."""
    if not 0 < fpir < 1:
        raise UserError(f"--fpir {fpir:g}: must lie between 0 and 1")
    try:
        return calibration.threshold(false_match_rate(fpir, entries))
    except UserError as error:
        raise UserError(f"--fpir {fpir:g} among {entries} photos: {error}") from error


def search(gallery: Gallery, probes: np.ndarray, k: int, faiss: bool = False) -> List[List[Match]]:
    """For each probe the k best people, best first. probes: (P, d), not normalised.

    faiss: search with faiss' flat index, the same answer. Raises UserError on a zero or infinite probe,
    or another d.
    """
    if probes.shape[1] != gallery.vectors.shape[1]:
        raise UserError(f"gallery: embeddings of length {gallery.vectors.shape[1]}, probes have {probes.shape[1]}")
    unit = unit_vectors(probes, "probes").astype(np.float32)
    people = len(np.unique(gallery.names))
    # A person may hold several of the best entries: ask for enough of them.
    most = int(np.unique(gallery.names, return_counts=True)[1].max())
    entries = min(len(gallery.names), min(k, people) * most)
    scores, order = nearest(gallery.vectors, unit, entries, faiss)
    return [_people(gallery, row_scores, row, k) for row_scores, row in zip(scores, order)]


def nearest(vectors: np.ndarray, probes: np.ndarray, k: int, faiss: bool = False) -> Tuple[np.ndarray, np.ndarray]:
    """(cosines, rows) of the k entries nearest to each probe, falling: (P, k) each. Unit vectors, float32."""
    if faiss:
        index = _import_faiss().IndexFlatIP(vectors.shape[1])
        index.add(vectors)
        return index.search(probes, k)
    scores, rows = np.empty((len(probes), k), np.float32), np.empty((len(probes), k), np.int64)
    for start in range(0, len(probes), BLOCK):
        block = probes[start : start + BLOCK] @ vectors.T
        best = _best_columns(block, k)
        found = np.take_along_axis(block, best, 1)
        falling = np.argsort(-found, axis=1, kind="stable")
        scores[start : start + BLOCK] = np.take_along_axis(found, falling, 1)
        rows[start : start + BLOCK] = np.take_along_axis(best, falling, 1)
    return scores, rows


def _best_columns(scores: np.ndarray, k: int) -> np.ndarray:
    """Columns of the k highest scores of each row, in no order: (P, k).

    The k best lie in the k chunks with the highest maxima: a tenth of the time of looking at all.
    """
    count = scores.shape[1]
    whole = count // CHUNK
    if k >= whole:
        return np.argpartition(scores, -k, axis=1)[:, -k:] if k < count else np.tile(np.arange(k), (len(scores), 1))
    highest = scores[:, : whole * CHUNK].reshape(len(scores), whole, CHUNK).max(2)
    chunks = np.argpartition(highest, -k, axis=1)[:, -k:]
    inside = (chunks[:, :, None] * CHUNK + np.arange(CHUNK)).reshape(len(scores), -1)
    rest = np.broadcast_to(np.arange(whole * CHUNK, count), (len(scores), count - whole * CHUNK))
    candidates = np.concatenate([inside, rest], 1)
    best = np.argpartition(np.take_along_axis(scores, candidates, 1), -k, axis=1)[:, -k:]
    return np.take_along_axis(candidates, best, 1)


def _import_faiss() -> Any:
    try:
        import faiss
    except ImportError:
        raise UserError("--faiss needs the package faiss-cpu: pip install 'arcface-mx[faiss]'") from None
    return faiss


def _people(gallery: Gallery, scores: np.ndarray, rows: np.ndarray, k: int) -> List[Match]:
    found: List[Match] = []
    seen = set()
    for score, row in zip(scores, rows):
        name = str(gallery.names[row])
        if name not in seen:
            seen.add(name)
            found.append(Match(name, float(score), str(gallery.paths[row])))
        if len(found) == k:
            break
    return found


def name_or_unknown(matches: Sequence[Match], threshold: Optional[float]) -> str:
    """The best person's name where the cosine reaches the threshold, else "unknown"."""
    return matches[0].name if threshold is None or matches[0].cosine >= threshold else "unknown"
