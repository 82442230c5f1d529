"""Triplet losses on a batch of P identities with K images each: angular (the paper), Euclidean (FaceNet).

The loss of a triplet of anchor, positive and negative is max(0, d(a, p) − d(a, n) + margin). The
mining says which triplets of the batch count:

- "semi_hard": each positive pair with the nearest negative that is farther than the positive, or with
  the farthest negative where none is. This gives one triplet for each positive pair.
- "facenet": each positive pair with a random one of the negatives inside the margin,
  d(a, p) < d(a, n) < d(a, p) + margin; a pair without such a negative counts as 0. FaceNet's open
  implementations and the released sampler of ArcFace choose in this way.
- "batch_hard": each anchor with its farthest positive and its nearest negative (Hermans et al., 2017).
  This gives one triplet for each anchor.

The paper prints only the inequality of the angular loss; the mining is a choice of this project. The
loss of an anchor is the mean over its positives, so with equal K the mean over the batch is the mean
over positive pairs. An anchor without a positive (an identity with one image) or without a negative
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
    """Build the angular triplet loss of each anchor.

    Parameters
    ----------
    embedding : Symbol of shape (N, d)
        Embeddings, normalised here.
    label : Symbol of shape (N,)
        Identity of each sample.
    margin : float, default=0.35
        Margin in radians, above 0.
    mining : {"semi_hard", "facenet", "batch_hard"}, default="semi_hard"
        Which triplets of the batch count; see the top of this file.

    Returns
    -------
    Symbol of shape (N,)
        Mean of max(0, arccos(a·p) − arccos(a·n) + margin) over the triplets of each anchor.

    Raises
    ------
    ValueError
        If an argument is out of range; the message names it.
    """
    return _triplet_loss(mx.sym.arccos(cosines_of(embedding)), label, margin, mining)


def euclidean_triplet_loss(
    embedding: Symbol, label: Symbol, *, margin: float = 0.2, mining: str = "semi_hard"
) -> Symbol:
    """Build the Euclidean triplet loss of each anchor.

    Parameters
    ----------
    embedding : Symbol of shape (N, d)
        Embeddings, normalised here.
    label : Symbol of shape (N,)
        Identity of each sample.
    margin : float, default=0.2
        Margin on the squared distance, above 0.
    mining : {"semi_hard", "facenet", "batch_hard"}, default="semi_hard"
        Which triplets of the batch count; see the top of this file.

    Returns
    -------
    Symbol of shape (N,)
        Mean of max(0, ‖a − p‖² − ‖a − n‖² + margin) over the triplets of each anchor.

    Raises
    ------
    ValueError
        If an argument is out of range; the message names it.

    Notes
    -----
    FaceNet (Schroff, Kalenichenko, Philbin, CVPR 2015).
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
    """Choose a negative for each pair (a, p): its rank among those of a, from 0, and whether there is one."""
    nearer = nearer_negatives(distance, pairs, distance)
    last = mx.sym.expand_dims(pairs.negatives - 1.0, axis=1)
    negative = mx.sym.relu(mx.sym.broadcast_minimum(nearer, last))
    return negative, mx.sym.broadcast_mul(pairs.positive, last >= 0.0)


def _random_semi_hard(distance: Symbol, pairs: Pairs, margin: float) -> Tuple[Symbol, Symbol]:
    """Draw evenly among the negatives between d(a, p) and d(a, p) + margin; returns as `_nearest_farther`."""
    first = nearer_negatives(distance, pairs, distance)
    end = nearer_negatives(distance, pairs, distance + margin)
    drawn = first + mx.sym.floor((end - first) * mx.sym.random.uniform_like(first))
    negative = mx.sym.relu(mx.sym.minimum(drawn, end - 1.0))
    return negative, pairs.positive * (end > first)
