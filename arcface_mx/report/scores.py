"""A verification set under one model: its embeddings and the cosine of each pair."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from arcface_mx.data.bins.read import PairSet, read_pairs
from arcface_mx.metrics.similarity import pair_scores
from arcface_mx.model import Embedder
from arcface_mx.verify.sets import embed_set, set_name


class ScoredSet(NamedTuple):
    """The embeddings (M, d) of a set's images and the cosines (P,) of its pairs, without flip test."""

    model: str
    set: str
    pairs: PairSet
    embeddings: np.ndarray
    scores: np.ndarray

    @property
    def same(self) -> np.ndarray:
        """Whether each pair shows one identity: (P,) bool."""
        return self.pairs.same


def embed_and_score(embedder: Embedder, path: str, model: str) -> ScoredSet:
    """Embed the images of a `.bin` set and score its pairs; raises UserError as `verify_set` does."""
    pairs, name = read_pairs(path), set_name(path)
    embeddings = embed_set(embedder, pairs, flip_test=False)["none"]
    scores = pair_scores(embeddings, pairs.left, pairs.right, f"{model} on {path}")
    return ScoredSet(model, name, pairs, embeddings, scores)
