"""The contrastive loss on a batch of P identities × K images."""

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
    """max(0, d − ε⁺) over positive and max(0, ε⁻ − d) over negative pairs, of each anchor, (N,).

    `embedding` (N, d), `label` (N,). d = ‖x_i − x_j‖ between embeddings of length 1 (normalised
    here; the formula does not say), so 0 <= d <= 2. positive_margin is ε⁺, at least 0;
    negative_margin ε⁻, above ε⁺.
    mining  "all": the mean over the anchor's positives plus the mean over those of its negatives
            that are nearer than ε⁻ (over all of them the term would fade as the batch grows);
            "batch_hard": its farthest positive plus its nearest negative.
    An identity with one image has no positive: its anchor's loss is the negatives' alone.
    Raises ValueError, naming the argument.
    """
    if positive_margin < 0:
        raise ValueError(f"positive_margin is {positive_margin!r}; it must be at least 0")
    check_positive("negative_margin", negative_margin)
    if negative_margin <= positive_margin:
        raise ValueError(f"negative_margin is {negative_margin!r}; it must be above positive_margin")
    check_choice("mining", mining, MININGS)
    pairs = pairs_of(label)
    # Inside the clip d² is at least 2e-7: the root's slope stays finite where two embeddings meet.
    distance = mx.sym.sqrt(2.0 - 2.0 * cosines_of(embedding))
    if mining == "batch_hard":
        pull = mx.sym.relu(hardest_positive(distance, pairs) - positive_margin)
        push = mx.sym.relu(negative_margin - hardest_negative(distance, pairs))
        return only(pairs.positives > 0.0, pull) + only(pairs.negatives > 0.0, push)
    pull = mx.sym.relu(distance - positive_margin)
    push = mx.sym.relu(negative_margin - distance)
    near = only(pairs.negative, mx.sym.BlockGrad(push) > 0.0)
    return mean_over(pairs.positive, pull) + mean_over(near, push)
