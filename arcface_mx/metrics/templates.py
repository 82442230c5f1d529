"""Template verification: a template is a set of images and video frames of one identity.

IJB-B and IJB-C: the frames of a video (one media id) are averaged first, so that a long video
weighs as much as one image; then the media of a template are averaged. YTF: a template is one
video, the mean of its frames.
"""

from __future__ import annotations

from typing import NamedTuple, Optional, Sequence, Union

import numpy as np

from arcface_mx.metrics.similarity import pair_scores, unit_vectors
from arcface_mx.util.errors import UserError

Ids = Union[np.ndarray, Sequence[str], Sequence[int]]


class Templates(NamedTuple):
    """Features of templates.

    Attributes
    ----------
    ids : ndarray of shape (T,)
        Sorted and distinct.
    features : ndarray of float32, shape (T, d)
        Rows of length 1.
    """

    ids: np.ndarray
    features: np.ndarray

    def rows(self, ids: Ids, name: str = "templates") -> np.ndarray:
        """Return the row numbers of templates.

        Parameters
        ----------
        ids : sequence of str or int
        name : str
            Name of the templates, for messages.

        Returns
        -------
        ndarray of int64

        Raises
        ------
        UserError
            If an id does not exist.
        """
        wanted = np.asarray(ids)
        if self.ids.dtype.kind == "U":
            wanted = wanted.astype(str)
        rows = np.minimum(np.searchsorted(self.ids, wanted), len(self.ids) - 1)
        missing = np.flatnonzero(self.ids[rows] != wanted)
        if missing.size:
            raise UserError(f"{name}: there is no template {wanted[missing[0]]} ({missing.size} ids are missing)")
        return rows


def pool(embeddings: np.ndarray, templates: Ids, media: Optional[Ids] = None, normalise: bool = True) -> Templates:
    """Features of templates from the embeddings of their images.

    Parameters
    ----------
    embeddings : ndarray of shape (n, d)
    templates : sequence of length n
        The template of each image.
    media : sequence of length n, optional
        The image or video that each embedding comes from, numbered within its template or over all.
        None counts all images alike (YTF).
    normalise : bool
        Give every embedding length 1 first. False weighs it by its length, as IJB's public scripts
        can.

    Returns
    -------
    Templates

    Raises
    ------
    UserError
        If lengths differ, an embedding is zero or not finite, or the images of a template cancel
        out.
    """
    template_ids, template = np.unique(np.asarray(templates), return_inverse=True)
    if not len(embeddings) == len(template) or (media is not None and len(media) != len(template)):
        raise UserError(f"templates: {len(embeddings)} embeddings for {len(template)} template ids")
    if not len(template):
        raise UserError("templates: no images")
    unit = unit_vectors(embeddings, "templates")  # also checks that all embeddings are finite
    vectors = unit if normalise else embeddings
    if media is not None:
        _, medium = np.unique(np.asarray(media), return_inverse=True)
        count = int(medium.max()) + 1
        groups, group = np.unique(template * count + medium, return_inverse=True)
        vectors, template = _mean(vectors, group, len(groups)), groups // count
    features = unit_vectors(_mean(vectors, template, len(template_ids)), "templates")
    return Templates(template_ids, features.astype(np.float32))


def _mean(vectors: np.ndarray, group: np.ndarray, count: int) -> np.ndarray:
    """Mean vector of each group 0…count−1, none of which is empty; shape (count, d)."""
    order = np.argsort(group, kind="stable")
    starts = np.searchsorted(group[order], np.arange(count))
    sums = np.add.reduceat(vectors[order], starts, axis=0, dtype=np.float64)
    return sums / np.bincount(group, minlength=count)[:, None]


def template_scores(templates: Templates, first: Ids, second: Ids, name: str = "pairs") -> np.ndarray:
    """Cosines of template pairs.

    Parameters
    ----------
    templates : Templates
    first, second : sequence of length P
        The template ids of each pair. P may be millions.
    name : str
        What the error message calls the pairs.

    Returns
    -------
    ndarray of float64, shape (P,)

    Raises
    ------
    UserError
        If a template does not exist.
    """
    left, right = templates.rows(first, name), templates.rows(second, name)
    if left.shape != right.shape:
        raise UserError(f"{name}: {len(left)} and {len(right)} template ids")
    return pair_scores(templates.features, left, right)
