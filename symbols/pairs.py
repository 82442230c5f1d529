"""All pairs of a batch: their distances, which are positive or negative, and which negative to take.

A batch holds P identities with K images each. Nothing here needs an equal K or a certain order. The
largest arrays are a few N×2N matrices: each anchor's distances are sorted instead of comparing all
N×N×N triplets, which at N = 512 takes 2 MB a matrix instead of 512 MB.
"""

from __future__ import annotations

from typing import NamedTuple

import mxnet as mx
from mxnet.symbol import Symbol

from arcface_mx.symbols.margin import CLIP

FAR = 1e4  # the distance of pairs that do not count; larger than any between unit vectors


class Pairs(NamedTuple):
    """0/1 matrices (N, N), one row for each anchor, and the number of ones in each row, (N,)."""

    positive: Symbol  # the same identity, another image
    negative: Symbol  # another identity
    positives: Symbol
    negatives: Symbol


def pairs_of(label: Symbol) -> Pairs:
    """Find the positive and negative pairs of a batch from `label` (N,)."""
    row = mx.sym.contrib.arange_like(label, axis=0)
    itself = _outer_equal(row)
    same = _outer_equal(label)
    positive, negative = same - itself, 1.0 - same
    return Pairs(positive, negative, mx.sym.sum(positive, axis=1), mx.sym.sum(negative, axis=1))


def cosines_of(embedding: Symbol) -> Symbol:
    """Compute the cosine between every two embeddings, (N, N), clipped as in `margin_logits`."""
    x = mx.sym.L2Normalization(embedding, mode="instance")
    return mx.sym.clip(mx.sym.dot(x, x, transpose_b=True), CLIP - 1.0, 1.0 - CLIP)


def only(mask: Symbol, values: Symbol, otherwise: float = 0.0) -> Symbol:
    """Keep `values` where `mask` is 1, and `otherwise` elsewhere, without gradient there."""
    return mx.sym.where(mask, values, mx.sym.ones_like(values) * otherwise)


def mean_over(mask: Symbol, values: Symbol) -> Symbol:
    """Compute the mean of each row over the values where `mask` is 1, (N,); 0 for a row without any."""
    count = mx.sym.sum(only(mask, mx.sym.ones_like(values)), axis=1)
    return mx.sym.sum(only(mask, values), axis=1) / mx.sym.maximum(count, 1.0)


def hardest_positive(distance: Symbol, pairs: Pairs) -> Symbol:
    """Compute the largest distance to a positive, (N,); any finite number where there is none."""
    keys = only(pairs.positive, mx.sym.BlockGrad(distance), -FAR)
    return mx.sym.pick(distance, mx.sym.argmax(keys, axis=1), axis=1)


def hardest_negative(distance: Symbol, pairs: Pairs) -> Symbol:
    """Compute the smallest distance to a negative, (N,); any finite number where there is none."""
    keys = only(pairs.negative, mx.sym.BlockGrad(distance), FAR)
    return mx.sym.pick(distance, mx.sym.argmin(keys, axis=1), axis=1)


def nearer_negatives(distance: Symbol, pairs: Pairs, limits: Symbol) -> Symbol:
    """Count the negatives of anchor a that are at most limits[a, p] away, (N, N), without gradient.

    The distances of an anchor's negatives are sorted together with its limits. Sorting is stable, so
    that a negative exactly at the limit counts.
    """
    keys = mx.sym.concat(only(pairs.negative, distance, FAR), limits, dim=1)
    rank = mx.sym.argsort(mx.sym.argsort(keys, axis=1), axis=1)
    rank = mx.sym.split_v2(rank, 2, axis=1)[1]  # of the limits
    return mx.sym.BlockGrad(rank - mx.sym.argsort(mx.sym.argsort(limits, axis=1), axis=1))


def nth_negative(distance: Symbol, pairs: Pairs, n: Symbol) -> Symbol:
    """Select the distance from anchor a to its n[a, p]-th nearest negative, counted from 0, (N, N)."""
    order = mx.sym.argsort(only(pairs.negative, mx.sym.BlockGrad(distance), FAR), axis=1)
    row = mx.sym.broadcast_like(mx.sym.expand_dims(mx.sym.contrib.arange_like(n, axis=0), axis=1), n)
    column = mx.sym.gather_nd(order, mx.sym.stack(row, n, axis=0))
    return mx.sym.gather_nd(distance, mx.sym.BlockGrad(mx.sym.stack(row, column, axis=0)))


def _outer_equal(values: Symbol) -> Symbol:
    return mx.sym.broadcast_equal(mx.sym.expand_dims(values, axis=1), mx.sym.expand_dims(values, axis=0))
