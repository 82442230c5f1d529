"""Protocols on image files: identification and template verification from folders or lists.

A function that opens the model is passed instead of the model, so that a bad list is refused before
a model is loaded.
"""

from __future__ import annotations

import itertools
from typing import Callable, NamedTuple, Optional, Sequence

import numpy as np

from arcface_mx.data.image_files import image_paths
from arcface_mx.data.protocols.megaface import ListedImages
from arcface_mx.data.protocols.template_pairs import read_template_pairs
from arcface_mx.metrics.identification import Identification, identify
from arcface_mx.metrics.megaface import MegaFace, MegaFaceResult
from arcface_mx.metrics.similarity import blocks, dense_pair_scores
from arcface_mx.metrics.templates import pool
from arcface_mx.metrics.verification import Rates, checked_scores, error_rates, evaluate
from arcface_mx.model.embedder import Embedder
from arcface_mx.util.errors import UserError
from arcface_mx.util.progress import progress
from arcface_mx.verify.images import embed_images, load_images, read_identities, read_templates

CHUNK = 8192  # distractors that are held at a time
OpenModel = Callable[[], Embedder]


class ImageOptions(NamedTuple):
    """How the images of a protocol are read and embedded."""

    folder: Optional[str] = None  # of a list's images; None means beside the list
    batch_size: Optional[int] = None
    flip: str = "none"  # flip test, "none" or "sum"


def identify_images(
    open_model: OpenModel,
    gallery: str,
    probes: str,
    distractors: Optional[str],
    options: ImageOptions,
) -> Identification:
    """Rank-k and DIR at FAR of a model.

    `gallery` and `probes` are folders of identities or lists "image identity"; the images of a
    gallery identity are averaged. `distractors` is a folder or list of images that are nobody's
    mate.
    """
    gallery_paths, gallery_ids = read_identities(gallery, options.folder)
    probe_paths, probe_ids = read_identities(probes, options.folder)
    if not set(gallery_ids) & set(probe_ids):
        raise UserError(f"{gallery} and {probes} have no identity in common; are the names the same?")
    distractor_paths = image_paths(distractors, options.folder) if distractors else []
    embedder = open_model()

    def embed(paths: Sequence[str], caption: str) -> np.ndarray:
        return embed_images(embedder, paths, caption, options.batch_size, options.flip)

    templates = pool(embed(gallery_paths, "gallery"), gallery_ids)
    probe_features = embed(probe_paths, "probes")
    others = embed(distractor_paths, "distractors") if distractor_paths else None
    return identify(templates.features, templates.ids, probe_features, probe_ids, others)


def verify_templates(
    open_model: OpenModel,
    templates: str,
    pairs: str,
    options: ImageOptions,
    folds: int = 0,
    normalise: bool = True,
    keep_repeated: bool = False,
) -> Rates:
    """Rates of a model on template pairs, with `folds` also accuracy (`PairMetrics`).

    `read_templates` and `read_template_pairs` describe `templates` and `pairs`. With `normalise`
    every embedding has length 1 before templates are pooled.
    """
    paths, names, media = read_templates(templates, options.folder)
    listed = read_template_pairs(pairs, np.unique(names), templates, keep_repeated)
    checked_scores(np.zeros(len(listed.same)), listed.same, pairs)  # both kinds are needed
    embeddings = embed_images(open_model(), paths, "templates", options.batch_size, options.flip)
    features = pool(embeddings, names, media, normalise).features
    scores = dense_pair_scores(features, listed.first, listed.second)
    return evaluate(scores, listed.same, folds, pairs) if folds else error_rates(scores, listed.same, pairs)


def search_distractors(
    embedder: Embedder, probes: ListedImages, distractors: Sequence[str], batch_size: Optional[int], flip: str
) -> MegaFaceResult:
    """Rates of MegaFace; `distractors` are image files, which are embedded and compared in parts."""
    features = embed_images(embedder, probes.paths, "probes", batch_size, flip)
    search = MegaFace(features, probes.identities, len(distractors))
    images = iter(progress(load_images(distractors), "distractors", "image", len(distractors)))
    for rows in blocks(len(distractors), CHUNK):
        part = list(itertools.islice(images, rows.stop - rows.start))
        search.add(embedder.embed(part, batch_size, flip == "sum"))
    return search.result()
