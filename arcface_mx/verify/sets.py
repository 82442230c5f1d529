"""Verify a model on verification sets (`.bin`): embed each distinct image, then score the pairs."""

from __future__ import annotations

import dataclasses
import os
import time
from typing import Dict, List, Optional, Sequence, Union

import numpy as np

from arcface_mx.data.bins.read import PairSet, read_pairs
from arcface_mx.metrics.similarity import pair_scores
from arcface_mx.metrics.verification import FOLDS, PairMetrics, check_folds, evaluate
from arcface_mx.model.embedder import Embedder
from arcface_mx.util.progress import progress
from arcface_mx.verify.images import embed_flips


@dataclasses.dataclass(frozen=True)
class SetResult:
    """Metrics of a method on one verification set.

    Parameters
    ----------
    method : str
        A model or the name of a baseline.
    set : str
        Name of the verification set.
    pairs, images : int
        Number of pairs and of distinct images.
    none : PairMetrics
        Metrics without flip test, as in the paper.
    sum : PairMetrics or None
        Metrics with flip test: the embeddings of image and mirror image are added before they are
        normalised, as in the released evaluation. None if it was left out.
    seconds : float
        Time for reading, embedding and scoring.
    protocol : {"exact", "insightface"}
        How the thresholds of the accuracy were chosen.
    scores : dict
        The score of each pair by flip test. They are not part of `to_json`.
    """

    method: str
    set: str
    pairs: int
    images: int
    none: PairMetrics
    sum: Optional[PairMetrics]
    seconds: float
    protocol: str = "exact"
    scores: Dict[str, np.ndarray] = dataclasses.field(default_factory=dict, compare=False, repr=False)

    def to_json(self) -> Dict[str, object]:
        """Return plain values, as in `--json` files.

        Returns
        -------
        dict
        """
        plain = dataclasses.asdict(dataclasses.replace(self, scores={}))
        del plain["scores"]
        plain["none"] = self.none.to_json()
        plain["sum"] = self.sum.to_json() if self.sum else None
        return plain


def verify_set(
    embedder: Embedder,
    pairs: Union[str, PairSet],
    folds: int = FOLDS,
    batch_size: Optional[int] = None,
    flip_test: bool = True,
) -> SetResult:
    """Metrics of a model on one verification set.

    Parameters
    ----------
    embedder : Embedder
    pairs : str or PairSet
        The set, or the path of its `.bin` file.
    folds : int
        Number of folds for accuracy.
    batch_size : int, optional
        Images per batch; mirror images are not counted.
    flip_test : bool
        Also measure the sum of the embeddings of image and mirror image.

    Returns
    -------
    SetResult

    Raises
    ------
    UserError
        If the set cannot be read or split into folds, an image cannot be decoded or has other
        proportions than the network's input, or an embedding is zero or not finite.
    """
    return verify_by_protocols(embedder, pairs, folds, batch_size, flip_test)[0]


def verify_by_protocols(
    embedder: Embedder,
    pairs: Union[str, PairSet],
    folds: int = FOLDS,
    batch_size: Optional[int] = None,
    flip_test: bool = True,
    protocols: Sequence[str] = ("exact",),
) -> List[SetResult]:
    """As `verify_set`, with a result for each protocol; images are embedded once."""
    start = time.time()
    pairs = read_pairs(pairs) if isinstance(pairs, str) else pairs
    check_folds(len(pairs), folds, pairs.path)  # before minutes of embedding
    embeddings = embed_set(embedder, pairs, batch_size, flip_test)
    return [score_set(embedder.name, pairs, embeddings, folds, start, protocol) for protocol in protocols]


def embed_set(
    embedder: Embedder, pairs: PairSet, batch_size: Optional[int] = None, flip_test: bool = True
) -> Dict[str, np.ndarray]:
    """Embeddings of a set's distinct images by flip test, with a progress bar."""
    images = progress(pairs.pixels(), set_name(pairs.path), "image", pairs.num_images)
    return embed_flips(embedder, images, batch_size, flip_test)


def score_set(
    method: str,
    pairs: PairSet,
    embeddings: Dict[str, np.ndarray],
    folds: int,
    start: float,
    protocol: str = "exact",
) -> SetResult:
    """Metrics from the embeddings of a set's images by flip test; `start` is when work began."""

    name = f"{method} on {pairs.path}"
    scores = {flip: pair_scores(values, pairs.left, pairs.right, name) for flip, values in embeddings.items()}

    def metrics(flip: str) -> PairMetrics:
        return evaluate(scores[flip], pairs.same, folds, pairs.path, protocol)

    return SetResult(
        method=method,
        set=set_name(pairs.path),
        pairs=len(pairs),
        images=pairs.num_images,
        none=metrics("none"),
        sum=metrics("sum") if "sum" in embeddings else None,
        seconds=round(time.time() - start, 3),
        protocol=protocol,
        scores=scores,
    )


def set_name(path: str) -> str:
    """Return the name of a set: lfw for …/lfw.bin, faces.v2 for the folder …/faces.v2/."""
    name = os.path.basename(os.path.normpath(path))
    return name[: -len(".bin")] if name.endswith(".bin") else name
