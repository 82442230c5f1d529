"""Template verification: a template is a set of images and video frames of one identity.

IJB-B and IJB-C: the frames of a video (one media id) are averaged first, so that a long video
weighs as much as one image; then the media of a template are averaged. YTF: a template is one
video, the mean of its frames.
"""

from __future__ import annotations

import itertools
from typing import Dict, NamedTuple, Optional, Sequence, Union

import numpy as np

from arcface_mx.metrics.similarity import dense_pair_scores, lengths, unit_vectors
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


class Mode(NamedTuple):
    """What an image contributes to its template: the switches N, D and F of InsightFace's `ijb_evals.py`.

    Attributes
    ----------
    norm : bool
        Divide the embedding by its length. Without it, embeddings weigh by their length.
    detector : bool
        Multiply the embedding by the score of the face detector.
    flip : bool
        Take the sum of the embeddings of image and mirror image.
    """

    norm: bool
    detector: bool
    flip: bool

    @property
    def name(self) -> str:
        """The switches as InsightFace writes them, such as N1D1F1."""
        return f"N{self.norm:d}D{self.detector:d}F{self.flip:d}"


MODES = tuple(Mode(*switches) for switches in itertools.product((True, False), repeat=3))


class TemplatePooling:
    """Pools templates in several modes while the embeddings of their images arrive.

    Only sums of templates are kept, never the embeddings of all images.

    Parameters
    ----------
    templates : sequence of length n
        The template of each image.
    media : sequence of length n, optional
        The image or video that each embedding comes from, numbered within its template or over all.
        None counts all images alike (YTF).
    detector_scores : ndarray of shape (n,), optional
        Needed by modes with `detector`.
    modes : sequence of Mode
        The modes to compute.

    Raises
    ------
    UserError
        If there are no images, or lengths differ.

    Notes
    -----
    The frames of a medium are averaged, and then the media of a template. An image of a medium with k
    frames therefore has the weight 1/k in the sum over its template.
    """

    def __init__(
        self,
        templates: Ids,
        media: Optional[Ids] = None,
        detector_scores: Optional[np.ndarray] = None,
        modes: Sequence[Mode] = (Mode(norm=True, detector=False, flip=False),),
    ) -> None:
        self.ids, self._template = np.unique(np.asarray(templates), return_inverse=True)
        count = len(self._template)
        for values in (media, detector_scores):
            if values is not None and len(values) != count:
                raise UserError(f"templates: {len(values)} media or scores for {count} template ids")
        if not count:
            raise UserError("templates: no images")
        self._weights = np.ones(count)
        if media is not None:
            _, medium = np.unique(np.asarray(media), return_inverse=True)
            pairs = self._template * (int(medium.max()) + 1) + medium
            _, group, frames = np.unique(pairs, return_inverse=True, return_counts=True)
            self._weights = 1 / frames[group]
        self._detector_scores = detector_scores
        self._sums: Dict[Mode, np.ndarray] = {mode: np.zeros((0, 0)) for mode in modes}
        self._seen = 0

    def add(self, embeddings: np.ndarray, mirrored: Optional[np.ndarray] = None) -> None:
        """Add the embeddings of the next images.

        Parameters
        ----------
        embeddings : ndarray of shape (b, d)
            Embeddings of the next b images, not normalised.
        mirrored : ndarray of shape (b, d), optional
            Embeddings of their mirror images, needed by modes with `flip`.

        Raises
        ------
        UserError
            If an embedding is zero or not finite, or there are more embeddings than images.
        """
        from scipy.sparse import csr_matrix

        rows = slice(self._seen, self._seen + len(embeddings))
        if rows.stop > len(self._template):
            raise UserError(f"templates: {rows.stop} embeddings for {len(self._template)} template ids")
        name = f"templates from image {rows.start} on" if rows.start else "templates"
        vectors = {False: embeddings.astype(np.float64)}
        lengths_of = {False: lengths(vectors[False], name)}
        if mirrored is not None:
            vectors[True] = vectors[False] + mirrored
            lengths_of[True] = lengths(vectors[True], name)
        touched, local = np.unique(self._template[rows], return_inverse=True)
        for mode in self._sums:
            weights = self._weights[rows] / (lengths_of[mode.flip] if mode.norm else 1)
            if mode.detector:
                assert self._detector_scores is not None
                weights = weights * self._detector_scores[rows]
            if not self._sums[mode].size:
                self._sums[mode] = np.zeros((len(self.ids), embeddings.shape[1]))
            sums = csr_matrix((weights, (local, np.arange(len(local)))), (len(touched), len(local)))
            self._sums[mode][touched] += sums @ vectors[mode.flip]
        self._seen = rows.stop

    def pooled(self, mode: Mode) -> Templates:
        """Return the templates of one mode.

        Parameters
        ----------
        mode : Mode

        Returns
        -------
        Templates

        Raises
        ------
        UserError
            If embeddings are missing, or the images of a template cancel out.
        """
        if self._seen != len(self._template):
            raise UserError(f"templates: {self._seen} embeddings for {len(self._template)} template ids")
        return Templates(self.ids, unit_vectors(self._sums[mode], "templates").astype(np.float32))


def pool(embeddings: np.ndarray, templates: Ids, media: Optional[Ids] = None, normalise: bool = True) -> Templates:
    """Features of templates from the embeddings of their images.

    Parameters
    ----------
    embeddings : ndarray of shape (n, d)
    templates : sequence of length n
        The template of each image.
    media : sequence of length n, optional
        The image or video that each embedding comes from, see `TemplatePooling`.
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
    mode = Mode(normalise, detector=False, flip=False)
    if len(embeddings) != len(templates) or (media is not None and len(media) != len(templates)):
        raise UserError(f"templates: {len(embeddings)} embeddings for {len(templates)} template ids")
    pooling = TemplatePooling(templates, media, modes=[mode])
    pooling.add(embeddings)
    return pooling.pooled(mode)


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
    ndarray of float32, shape (P,)

    Raises
    ------
    UserError
        If a template does not exist.
    """
    left, right = templates.rows(first, name), templates.rows(second, name)
    if left.shape != right.shape:
        raise UserError(f"{name}: {len(left)} and {len(right)} template ids")
    return dense_pair_scores(templates.features, left, right)
