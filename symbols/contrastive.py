"""The contrastive loss on a batch of P identities with K images each."""

from __future__ import annotations

import mxnet as mx
from mxnet.symbol import Symbol

from arcface_mx.symbols.checks import check_choice, check_positive
from arcface_mx.symbols.pairs import cosines_of, hardest_negative, hardest_positive, mean_over, only, pairs_of

MININGS = ("all", "batch_hard")


def contrastive_loss(
    embedding: Symbol,
    label: Symbol,
    *,
    positive_margin: float,
    negative_margin: float,
    mining: str = "all",
) -> Symbol:
    """Build the contrastive loss of each anchor.

    Parameters
    ----------
    embedding : Symbol of shape (N, d)
        Embeddings, normalised here.
    label : Symbol of shape (N,)
        Identity of each sample.
    positive_margin : float
        ε⁺, at least 0: distances of positive pairs below it cost nothing.
    negative_margin : float
        ε⁻, above ε⁺: distances of negative pairs above it cost nothing.
    mining : {"all", "batch_hard"}, default="all"
        "all" adds the mean over the anchor's positives and the mean over those of its negatives that
        are nearer than ε⁻. "batch_hard" adds the terms of the farthest positive and of the nearest
        negative.

    Returns
    -------
    Symbol of shape (N,)
        max(0, d − ε⁺) over positive plus max(0, ε⁻ − d) over negative pairs, with
        d = ‖x_i − x_j‖ between embeddings of length 1, so 0 <= d <= 2.

    Raises
    ------
    ValueError
        If an argument is out of range; the message names it.

    Notes
    -----
    The published formula does not say whether embeddings are normalised; here they are. The mean over
    all negatives would fade as the batch grows, so "all" averages over the near ones only. An
    identity with one image has no positive: the loss of its anchor is that of the negatives.
    """
    if positive_margin < 0:
        raise ValueError(f"`positive_margin` must be at least 0, got {positive_margin!r}")
    check_positive("negative_margin", negative_margin)
    if negative_margin <= positive_margin:
        raise ValueError(f"`negative_margin` must be above `positive_margin`, got {negative_margin!r}")
    check_choice("mining", mining, MININGS)
    pairs = pairs_of(label)
    # The clip of `cosines_of` keeps d² above 2e-7, so the slope of the root stays finite at d = 0.
    distance = mx.sym.sqrt(2.0 - 2.0 * cosines_of(embedding))
    if mining == "batch_hard":
        pull = mx.sym.relu(hardest_positive(distance, pairs) - positive_margin)
        push = mx.sym.relu(negative_margin - hardest_negative(distance, pairs))
        return only(pairs.positives > 0.0, pull) + only(pairs.negatives > 0.0, push)
    pull = mx.sym.relu(distance - positive_margin)
    push = mx.sym.relu(negative_margin - distance)
    near = only(pairs.negative, mx.sym.BlockGrad(push) > 0.0)
    return mean_over(pairs.positive, pull) + mean_over(near, push)
