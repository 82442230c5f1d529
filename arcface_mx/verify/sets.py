"""Verify a model on verification sets (`.bin`): embed each distinct image once, then score the pairs."""

from __future__ import annotations

import dataclasses
import os
import time
from typing import Any, Dict, List, Optional, Sequence, Union

import numpy as np

from arcface_mx.data.bins.bins import PairSet, read_pairs
from arcface_mx.metrics.similarity import pair_scores
from arcface_mx.metrics.verification import FOLDS, PairMetrics, check_folds, evaluate
from arcface_mx.model.embedder import Embedder
from arcface_mx.util.errors import UserError
from arcface_mx.util.progress import progress


@dataclasses.dataclass(frozen=True)
class SetResult:
    """A method's metrics on one verification set. method: a model or the name of a baseline.

    none: without flip test, the paper's way. sum: with it, the sum of the embeddings of image and
    mirror image before normalising, as the released evaluation does; None when not asked for.
    images: distinct images. seconds: for reading, embedding and scoring.
    """

    method: str
    set: str
    pairs: int
    images: int
    none: PairMetrics
    sum: Optional[PairMetrics]
    seconds: float

    def to_json(self) -> Dict[str, Any]:
        """Plain values, as in `--json` files."""
        plain = dataclasses.asdict(self)
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
    """Metrics of a model on one set. pairs: the set, or the path of its `.bin`.

    Raises UserError when the set cannot be read or split in folds, an image cannot be decoded or has
    other proportions than the network's input, or an embedding is zero or not finite.
    """
    start = time.time()
    pairs = read_pairs(pairs) if isinstance(pairs, str) else pairs
    check_folds(len(pairs), folds, pairs.path)  # refused before minutes of embedding
    images = progress(pairs.pixels(), set_name(pairs.path), "image", pairs.num_images)
    if flip_test:
        return score_set(
            embedder.name, pairs, *embedder.embed_with_mirror(images, batch_size), folds=folds, start=start
        )
    return score_set(embedder.name, pairs, embedder.embed(images, batch_size), None, folds, start)


def score_set(
    method: str, pairs: PairSet, plain: np.ndarray, mirrored: Optional[np.ndarray], folds: int, start: float
) -> SetResult:
    """Metrics from the embeddings (M, d) of a set's distinct images and of their mirror images.

    start: time.time() at which the work began.
    """
    source = f"{method} on {pairs.path}"

    def metrics(embeddings: np.ndarray) -> PairMetrics:
        return evaluate(pair_scores(embeddings, pairs.left, pairs.right, source), pairs.same, folds, pairs.path)

    return SetResult(
        method=method,
        set=set_name(pairs.path),
        pairs=len(pairs),
        images=pairs.num_images,
        none=metrics(plain),
        sum=None if mirrored is None else metrics(plain + mirrored),
        seconds=round(time.time() - start, 3),
    )


def set_name(path: str) -> str:
    """lfw for …/lfw.bin."""
    return os.path.splitext(os.path.basename(path))[0]


def result_table(results: Sequence[SetResult]) -> str:
    """One aligned table of results: percentages, FAR levels that no set can measure left out."""
    if not results:
        raise UserError("no results to show")
    levels = [far for far in results[0].none.tar_at_far if any(r.none.tar_at_far[far] is not None for r in results)]
    header = ["method", "set", "pairs", "flip", "accuracy %"] + [f"TAR@{far:.0e}" for far in levels] + ["EER %", "AUC"]
    rows = [header]
    for result in results:
        for flip, metrics in (("none", result.none), ("sum", result.sum)):
            if metrics:
                rows.append([result.method, result.set, str(result.pairs), flip] + _cells(metrics, levels))
    widths = [max(len(row[column]) for row in rows) for column in range(len(header))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
    hidden = [far for far in results[0].none.tar_at_far if far not in levels]
    if hidden:
        most = max(result.none.num_different for result in results)
        lines.append(
            f"TAR@{', '.join(f'{far:.0e}' for far in hidden)}: not measurable with {most} different pairs "
            "(1/FAR are needed)"
        )
    return "\n".join(lines)


def _cells(metrics: PairMetrics, levels: Sequence[float]) -> List[str]:
    tars = [metrics.tar_at_far[far] for far in levels]
    return (
        [f"{100 * metrics.accuracy:.2f} ± {100 * metrics.std:.2f}"]
        + ["-" if tar is None else f"{tar:.4f}" for tar in tars]
        + [f"{100 * metrics.eer:.2f}", f"{metrics.auc:.5f}"]
    )
