"""Template verification: a template is a set of photos and video frames of one person.

IJB-B and IJB-C: frames of one video (one media id) are averaged first, so that a long video weighs
as much as one photo; then the media of a template are added. YTF: one video, the mean of its
frames.
"""

from __future__ import annotations

from typing import NamedTuple, Optional, Sequence, Tuple, Union

import numpy as np

from arcface_mx.metrics.similarity import unit_vectors
from arcface_mx.util.errors import UserError

Ids = Union[np.ndarray, Sequence[str], Sequence[int]]


class Templates(NamedTuple):
    """T templates. ids: (T,) sorted and distinct. features: (T, d) float32, of length 1."""

    ids: np.ndarray
    features: np.ndarray

    def rows(self, ids: Ids, name: str = "templates") -> np.ndarray:
        """Row numbers (int64) of templates. Raises UserError naming an id that is not there."""
        wanted = np.asarray(ids)
        if self.ids.dtype.kind == "U":
            wanted = wanted.astype(str)
        rows = np.minimum(np.searchsorted(self.ids, wanted), len(self.ids) - 1)
        lost = np.flatnonzero(self.ids[rows] != wanted)
        if lost.size:
            raise UserError(f"{name}: there is no template {wanted[lost[0]]} ({lost.size} such)")
        return rows


def pool(embeddings: np.ndarray, templates: Ids, media: Optional[Ids] = None, normalise: bool = True) -> Templates:
    """Features of templates from the embeddings of their images.

    embeddings: (n, d), one an image (of image and mirror image added, where both are used).
    templates: (n,) the image's template. media: (n,) the photo or video it comes from, numbered
    within its template or over all; None: every image counts alike (YTF). normalise: give every
    image length 1 first; False lets the embedding's length weigh it, as IJB's public scripts can.

    Raises UserError when lengths differ, an embedding is zero or not finite, or images cancel out.
    """
    template_ids, owner = np.unique(np.asarray(templates), return_inverse=True)
    if not len(embeddings) == len(owner) or (media is not None and len(media) != len(owner)):
        raise UserError(f"templates: {len(embeddings)} embeddings for {len(owner)} template ids")
    if not len(owner):
        raise UserError("templates: no images")
    unit = unit_vectors(embeddings, "templates")  # also the check that all are finite
    vectors = unit if normalise else embeddings
    if media is not None:
        _, source = np.unique(np.asarray(media), return_inverse=True)
        group = owner * (int(source.max()) + 1) + source
        groups, group = np.unique(group, return_inverse=True)
        vectors = _mean(vectors, group, len(groups))
        owner = groups // (int(source.max()) + 1)
    features = unit_vectors(_mean(vectors, owner, len(template_ids)), "templates")
    return Templates(template_ids, features.astype(np.float32))


def _mean(vectors: np.ndarray, group: np.ndarray, count: int) -> np.ndarray:
    """Mean vector of each group: (count, d). group: (n,) numbers 0…count−1, none of them empty."""
    order = np.argsort(group, kind="stable")
    starts = np.searchsorted(group[order], np.arange(count))
    sums = np.add.reduceat(vectors[order], starts, axis=0, dtype=np.float64)
    return sums / np.bincount(group, minlength=count)[:, None]


def template_scores(
    templates: Templates, first: Ids, second: Ids, name: str = "pairs", block: int = 65536
) -> np.ndarray:
    """Cosines of template pairs: (P,) float64. first, second: (P,) template ids; P may be millions."""
    left, right = templates.rows(first, name), templates.rows(second, name)
    if left.shape != right.shape:
        raise UserError(f"{name}: {len(left)} and {len(right)} template ids")
    scores = np.empty(len(left))
    for start in range(0, len(left), block):
        part = slice(start, start + block)
        scores[part] = np.einsum("pd,pd->p", templates.features[left[part]], templates.features[right[part]])
    return scores


def mean_by_identity(embeddings: np.ndarray, identities: Ids) -> Tuple[np.ndarray, np.ndarray]:
    """(ids, features) with one template an identity: what a gallery of several photos a person becomes."""
    templates = pool(embeddings, identities)
    return templates.ids, templates.features
