"""Triplet losses on a batch of P identities × K images: angular (the paper) and Euclidean (FaceNet).

The hinge is d(a, p) − d(a, n) + margin. Which triplets of the batch count is the mining:

- "semi_hard": every positive pair, with the nearest negative that is farther than the positive,
  or, where no negative is, with the farthest one. One triplet a positive pair.
- "facenet": as "semi_hard", but with a random one of the negatives inside the margin,
  d(a, p) < d(a, n) < d(a, p) + margin; a pair that has none counts as 0. This is how FaceNet's
  open implementations and the released ArcFace sampler choose.
- "batch_hard": for each anchor its farthest positive with its nearest negative (Hermans et al.,
  2017). One triplet an anchor.

The paper prints the inequality of the angular loss only; mining is our choice. The loss of an
anchor is the mean over its positives, so that with equal K the batch mean is the mean over
positive pairs. An anchor without a positive (an identity with one image) or without a negative
(one identity in the batch) has loss 0 and sends no gradient.
"""

from __future__ import annotations

from typing import Tuple

import mxnet as mx
from mxnet.symbol import Symbol

from arcface_mx.symbols.checks import check_choice, check_positive
from arcface_mx.symbols.pairs import (
    Pairs,
    cosines_of,
    hardest_negative,
    hardest_positive,
    mean_over,
    nearer_negatives,
    nth_negative,
    only,
    pairs_of,
)

MININGS = ("semi_hard", "facenet", "batch_hard")


def angular_triplet_loss(
    embedding: Symbol, label: Symbol, *, margin: float = 0.35, mining: str = "semi_hard"
) -> Symbol:
    """Hinge of arccos(a·p) − arccos(a·n) + margin (radians) of each anchor, (N,).

    `embedding` (N, d), normalised here, `label` (N,). Raises ValueError, naming the argument.
    """
    return _triplet_loss(mx.sym.arccos(cosines_of(embedding)), label, margin, mining)


def euclidean_triplet_loss(
    embedding: Symbol, label: Symbol, *, margin: float = 0.2, mining: str = "semi_hard"
) -> Symbol:
    """Hinge of ‖a − p‖² − ‖a − n‖² + margin on normalised embeddings of each anchor, (N,).

    `embedding` (N, d), normalised here, `label` (N,). Raises ValueError, naming the argument.
    """
    return _triplet_loss(2.0 - 2.0 * cosines_of(embedding), label, margin, mining)


def _triplet_loss(distance: Symbol, label: Symbol, margin: float, mining: str) -> Symbol:
    check_positive("margin", margin)
    check_choice("mining", mining, MININGS)
    pairs = pairs_of(label)
    if mining == "batch_hard":
        hinge = mx.sym.relu(hardest_positive(distance, pairs) - hardest_negative(distance, pairs) + margin)
        return only((pairs.positives > 0) * (pairs.negatives > 0), hinge)
    choose = _nearest_farther if mining == "semi_hard" else _random_semi_hard
    negative, chosen = choose(mx.sym.BlockGrad(distance), pairs, margin)
    hinge = mx.sym.relu(distance - nth_negative(distance, pairs, negative) + margin)
    return mean_over(pairs.positive, only(chosen, hinge))


def _nearest_farther(distance: Symbol, pairs: Pairs, margin: float) -> Tuple[Symbol, Symbol]:
    """For each pair (a, p) which of a's negatives to take, by rank from 0, and whether there is one."""
    nearer = nearer_negatives(distance, pairs, distance)
    last = mx.sym.expand_dims(pairs.negatives - 1.0, axis=1)
    negative = mx.sym.relu(mx.sym.broadcast_minimum(nearer, last))
    return negative, mx.sym.broadcast_mul(pairs.positive, last >= 0.0)


def _random_semi_hard(distance: Symbol, pairs: Pairs, margin: float) -> Tuple[Symbol, Symbol]:
    """As `_nearest_farther`; draws evenly among the negatives between d(a, p) and d(a, p) + margin."""
    first = nearer_negatives(distance, pairs, distance)
    end = nearer_negatives(distance, pairs, distance + margin)
    drawn = first + mx.sym.floor((end - first) * mx.sym.random.uniform_like(first))
    negative = mx.sym.relu(mx.sym.minimum(drawn, end - 1.0))
    return negative, pairs.positive * (end > first)
