"""IJB-B and IJB-C as published: all modes of InsightFace's evaluation in one pass of embedding."""

from __future__ import annotations

import dataclasses
import os
from typing import Callable, Dict, Iterator, List, Optional, Sequence, Tuple

import numpy as np

from arcface_mx.data.align.image import MAX_RESIDUAL
from arcface_mx.data.align.landmarks import refuse_nonsense
from arcface_mx.data.align.transform import align
from arcface_mx.data.images import decode_rgb
from arcface_mx.data.protocols.ijb import IjbLists
from arcface_mx.data.protocols.template_pairs import TemplatePairs, read_template_pairs
from arcface_mx.data.protocols.verification_set import find_image, refuse_missing
from arcface_mx.metrics.identification import Identification, identify
from arcface_mx.metrics.similarity import blocks, dense_pair_scores
from arcface_mx.metrics.templates import MODES, Mode, TemplatePooling, Templates
from arcface_mx.metrics.verification import Rates, rates_of
from arcface_mx.model.embedder import Embedder
from arcface_mx.util.errors import UserError
from arcface_mx.util.progress import progress
from arcface_mx.verify.images import evenly_spread

MAX_SAMPLE = 2000  # images whose landmarks are checked before the first one is embedded
CHUNK = 4096  # images whose embeddings are held at a time
# Takes the rows of images and returns their embeddings, and those of their mirror images or None.
EmbedRows = Callable[[slice], Tuple[np.ndarray, Optional[np.ndarray]]]


@dataclasses.dataclass(frozen=True)
class IjbResult:
    """Metrics of one mode.

    Parameters
    ----------
    mode : Mode
    verification : Rates
        1:1 over all template pairs.
    galleries : dict of str to Identification
        1:N by gallery; empty where the lists of 1:N are not there.
    """

    mode: Mode
    verification: Rates
    galleries: Dict[str, Identification]

    def mean_rank(self, k: int) -> float:
        """Rank-k over the probes of all galleries.

        Parameters
        ----------
        k : int

        Returns
        -------
        float
        """
        known = sum(result.known for result in self.galleries.values())
        return sum(result.rank[k] * result.known for result in self.galleries.values()) / known

    def mean_tpir(self, fpir: float) -> Optional[float]:
        """Mean over the galleries of TPIR at a FPIR; None where it cannot be measured.

        Parameters
        ----------
        fpir : float

        Returns
        -------
        float or None
        """
        rates = [result.dir_at_far[fpir] for result in self.galleries.values()]
        return None if None in rates else float(np.mean(np.asarray(rates, float)))

    def to_json(self) -> Dict[str, object]:
        """Return plain values, as in `--json` files.

        Returns
        -------
        dict
        """
        galleries = {name: result.to_json() for name, result in self.galleries.items()}
        return {"mode": self.mode.name, "verification": self.verification.to_json(), "galleries": galleries}


def verify_ijb(
    embed: EmbedRows, lists: IjbLists, modes: Sequence[Mode] = MODES, keep_repeated: bool = False
) -> List[IjbResult]:
    """Measure IJB-B or IJB-C in several modes.

    Parameters
    ----------
    embed : callable
        Takes a slice of the images and returns their embeddings (b, d), and those of their mirror
        images, or None if no mode needs them.
    lists : IjbLists
    modes : sequence of Mode
    keep_repeated : bool
        Accept pairs that are listed several times with the same label.

    Returns
    -------
    list of IjbResult
        One for each mode.

    Raises
    ------
    UserError
        If the list of pairs cannot be used, or an embedding is zero or not finite.

    Notes
    -----
    Embeddings are pooled while they arrive. The memory is that of one sum for each template and mode,
    and of 13 bytes for each pair.
    """
    pooling = TemplatePooling(lists.templates, lists.media, lists.scores, modes)
    pairs = _by_first(read_template_pairs(lists.pairs, pooling.ids, lists.source, keep_repeated))
    if pairs.same.all() or not pairs.same.any():
        raise UserError(f"{lists.pairs}: all pairs have the label {int(pairs.same[0])}; both kinds are needed")
    for rows in blocks(len(lists.images), CHUNK):
        pooling.add(*embed(rows))
    return [_measure(mode, pooling.pooled(mode), pairs, lists) for mode in modes]


def _by_first(pairs: TemplatePairs) -> TemplatePairs:
    """Order the pairs by their first template, so that scoring reads them in blocks."""
    order = np.argsort(pairs.first, kind="stable")
    return TemplatePairs(*(column[order] for column in pairs))


def _measure(mode: Mode, templates: Templates, pairs: TemplatePairs, lists: IjbLists) -> IjbResult:
    scores = dense_pair_scores(templates.features, pairs.first, pairs.second)
    rates = rates_of(scores[pairs.same], scores[~pairs.same])
    galleries = {}
    for name, gallery in lists.galleries.items():
        assert lists.probes is not None
        entries, probes = (
            templates.features[templates.rows(subjects.templates)] for subjects in (gallery, lists.probes)
        )
        galleries[name] = identify(entries, gallery.subjects, probes, lists.probes.subjects)
    return IjbResult(mode, rates, galleries)


def find_images(lists: IjbLists, folder: str) -> List[str]:
    """Return the paths of the images below `folder`; UserError if some are not there."""
    paths = [find_image(folder, name) for name in lists.images]
    absent = [f"{name} (line {row + 1})" for row, (name, path) in enumerate(zip(lists.images, paths)) if not path]
    refuse_missing(absent, lists.source, f"are not below {folder}", None)
    return paths


def embed_ijb(
    embedder: Embedder,
    lists: IjbLists,
    paths: Sequence[str],
    aligned: bool,
    batch_size: Optional[int],
    flip: bool,
    max_residual: float = MAX_RESIDUAL,
) -> EmbedRows:
    """Return the function with which `verify_ijb` embeds image files.

    Images are aligned by the five points of the list, unless they are `aligned` crops already. Raises UserError if
    the points do not fit faces: if their median residual is above `max_residual` pixels.
    """
    if not aligned:
        sample = lists.points[evenly_spread(len(lists.points), MAX_SAMPLE)].astype(float)
        refuse_nonsense(sample, lists.points_path, max_residual)
    images = progress(_crops(lists, paths, aligned), lists.name, "image", len(paths))
    stream = iter(images)

    def embed(rows: slice) -> Tuple[np.ndarray, Optional[np.ndarray]]:
        part = [next(stream) for _ in range(rows.start, rows.stop)]
        return embedder.embed_with_flip(part, batch_size) if flip else (embedder.embed(part, batch_size), None)

    return embed


def _crops(lists: IjbLists, paths: Sequence[str], aligned: bool) -> Iterator[np.ndarray]:
    for row, path in enumerate(paths):
        try:
            with open(path, "rb") as stream:
                pixels = decode_rgb(stream.read())
            yield pixels if aligned else align(pixels, lists.points[row])[0]
        except OSError as error:
            raise UserError(f"{os.path.normpath(path)}: cannot be read: {error.strerror}") from error
        except ValueError as error:
            raise UserError(f"{path}: {error}") from error
