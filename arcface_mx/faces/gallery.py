"""A gallery of known identities, and the search for the identity of an image, or "unknown".

Every image of the gallery is an entry; the score of an identity is that of its best image. A
stranger is named when any of N entries matches, with probability 1 − (1 − FMR)^N for a false match
rate FMR of one comparison, if comparisons are independent. A wanted false positive identification
rate FPIR therefore needs the threshold of FMR = 1 − (1 − FPIR)^(1/N), which rises with N.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import Callable, Dict, List, Mapping, NamedTuple, Tuple

import numpy as np

from arcface_mx.faces.embed import Embeddings
from arcface_mx.faces.store import read_fields
from arcface_mx.metrics.calibration import Calibration
from arcface_mx.metrics.similarity import NEAREST_BLOCK, blocks, nearest, unit_vectors
from arcface_mx.util.errors import UserError


class Gallery(NamedTuple):
    """N entries of a gallery; model, align and flip as in `Embeddings`."""

    names: np.ndarray  # (N,) identity of each entry
    paths: np.ndarray  # (N,)
    vectors: np.ndarray  # (N, d) float32 or float16, rows of length 1; mapped into memory where they are many
    model: str
    align: bool
    flip: str


@dataclasses.dataclass(frozen=True)
class Match:
    """An identity of the gallery, the cosine of its best image, and that image."""

    name: str
    cosine: float
    path: str


def make_gallery(embeddings: Embeddings, names: Mapping[str, str], dtype: str = "float32") -> Gallery:
    """Make a gallery; `names` gives the identity of each path. UserError if no image has a face.

    `dtype` "float16" takes half of the space and changes cosines by less than 1e-4.
    """
    if not len(embeddings.paths):
        raise UserError(f"gallery: no image has a usable face ({embeddings.skipped[0]}: {embeddings.reasons[0]})")
    vectors = unit_vectors(embeddings.vectors, "gallery").astype(dtype)
    identities = np.asarray([names[path] for path in embeddings.paths.tolist()], str)
    return Gallery(identities, embeddings.paths, vectors, embeddings.model, embeddings.align, embeddings.flip)


def read_gallery(path: str) -> Gallery:
    """Read a gallery that `store.write_fields` wrote; UserError if it is another file.

    Large arrays are mapped into memory; `search` checks them while it reads them.
    """
    return Gallery(**read_fields(path, Gallery, "a gallery", "arcface-mx gallery build", mapped=True))


def false_match_rate(fpir: float, entries: int) -> float:
    """FMR of one comparison at which a stranger matches an entry with probability `fpir`."""
    return -math.expm1(math.log1p(-fpir) / entries)


def unknown_threshold(calibration: Calibration, fpir: float, entries: int) -> float:
    """The cosine below which nobody is named; UserError if the calibration has too few pairs."""
    if not 0 < fpir < 1:
        raise UserError(f"`fpir` must be between 0 and 1, got {fpir:g}")
    try:
        return calibration.threshold(false_match_rate(fpir, entries))
    except UserError as error:
        raise UserError(f"`fpir` {fpir:g} among {entries} images: {error}") from error


def search(gallery: Gallery, probes: np.ndarray, k: int, faiss: bool = False) -> List[List[Match]]:
    """Find the k best identities of each probe, best first.

    `probes` has shape (P, d) and need not be normalised. With `faiss` its flat index searches, with
    the same result. Raises UserError if a probe is zero or not finite, or has another length.
    """
    if probes.shape[1] != gallery.vectors.shape[1]:
        raise UserError(f"gallery: embeddings of length {gallery.vectors.shape[1]}, probes have {probes.shape[1]}")
    unit = unit_vectors(probes, "probes").astype(np.float32)
    vectors = gallery.vectors
    name = str(getattr(vectors, "filename", None) or "gallery")
    find = _faiss_search(vectors, name) if faiss else functools.partial(nearest, entries=vectors, name=name)
    identities = functools.lru_cache(maxsize=None)(lambda: len(np.unique(gallery.names)))  # counted if it is needed
    found: Dict[int, List[Match]] = {}
    # Several of the best entries may belong to one identity: more than k entries are searched for, and again more
    # for the probes that have fewer identities than there are.
    missing, count = list(range(len(unit))), 4 * k
    while missing:
        cosines, best = find(unit[missing], k=min(count, len(vectors)))
        for place, probe in enumerate(missing):
            found[probe] = _matches(gallery, cosines[place], best[place], k)
        missing = [probe for probe in missing if len(found[probe]) < k and len(found[probe]) < identities()]
        count *= 4
    return [found[probe] for probe in range(len(unit))]


def _faiss_search(entries: np.ndarray, name: str) -> Callable[..., Tuple[np.ndarray, np.ndarray]]:
    """Return a function like `nearest` for these entries."""
    try:
        import faiss
    except ImportError:
        raise UserError("`faiss` needs the package faiss-cpu: pip install 'arcface-mx[faiss]'") from None
    index = faiss.IndexFlatIP(entries.shape[1])
    for block in blocks(len(entries), NEAREST_BLOCK[1]):
        index.add(unit_vectors(np.asarray(entries[block], np.float32), f"{name} from vector {block.start} on"))
    return index.search  # type: ignore[no-any-return]


def _matches(gallery: Gallery, cosines: np.ndarray, rows: np.ndarray, k: int) -> List[Match]:
    """The best entry of each identity, at most k; cosines fall."""
    best = np.sort(np.unique(gallery.names[rows], return_index=True)[1])[:k]
    return [Match(str(gallery.names[rows[i]]), float(cosines[i]), str(gallery.paths[rows[i]])) for i in best]
