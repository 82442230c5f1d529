"""All pairs of a batch: distances, who is whose positive and negative, and which negative to take.

A batch holds P identities with K images each; nothing here asks for equal K, or for any order.
The largest thing made is a few N×2N matrices: mining by sorting each anchor's distances, instead
of comparing all N×N×N triplets, takes 2 MB a matrix at N = 512 and not 512.
"""

from __future__ import annotations

from typing import NamedTuple

import mxnet as mx
from mxnet.symbol import Symbol

from arcface_mx.symbols.margin import CLIP

FAR = 1e4  # stands for "no such pair"; beyond any distance between unit vectors


class Pairs(NamedTuple):
    """0/1 matrices (N, N), row the anchor, and the number of ones in each row, (N,)."""

    positive: Symbol  # same identity, another image
    negative: Symbol  # another identity
    positives: Symbol
    negatives: Symbol


def pairs_of(label: Symbol) -> Pairs:
    """Which pairs of the batch are positive and negative, from `label` (N,)."""
    row = mx.sym.contrib.arange_like(label, axis=0)
    itself = _outer_equal(row)
    same = _outer_equal(label)
    positive, negative = same - itself, 1.0 - same
    return Pairs(positive, negative, mx.sym.sum(positive, axis=1), mx.sym.sum(negative, axis=1))


def cosines_of(embedding: Symbol) -> Symbol:
    """cos of the angle between every two embeddings, (N, N), inside the clip of `margin_logits`."""
    x = mx.sym.L2Normalization(embedding, mode="instance")
    return mx.sym.clip(mx.sym.dot(x, x, transpose_b=True), CLIP - 1.0, 1.0 - CLIP)


def only(mask: Symbol, values: Symbol, otherwise: float = 0.0) -> Symbol:
    """`values` where `mask` is 1, elsewhere `otherwise`; no gradient passes where it is 0."""
    return mx.sym.where(mask, values, mx.sym.ones_like(values) * otherwise)


def mean_over(mask: Symbol, values: Symbol) -> Symbol:
    """Mean of the values that `mask` keeps, of each row, (N,); 0 for a row with none."""
    count = mx.sym.sum(only(mask, mx.sym.ones_like(values)), axis=1)
    return mx.sym.sum(only(mask, values), axis=1) / mx.sym.maximum(count, 1.0)


def hardest_positive(distance: Symbol, pairs: Pairs) -> Symbol:
    """The largest distance to a positive, (N,); any finite number where there is none."""
    keys = only(pairs.positive, mx.sym.BlockGrad(distance), -FAR)
    return mx.sym.pick(distance, mx.sym.argmax(keys, axis=1), axis=1)


def hardest_negative(distance: Symbol, pairs: Pairs) -> Symbol:
    """The smallest distance to a negative, (N,); any finite number where there is none."""
    keys = only(pairs.negative, mx.sym.BlockGrad(distance), FAR)
    return mx.sym.pick(distance, mx.sym.argmin(keys, axis=1), axis=1)


def nearer_negatives(distance: Symbol, pairs: Pairs, limits: Symbol) -> Symbol:
    """How many of anchor a's negatives are at most limits[a, p] away, (N, N). No gradient.

    Sorts an anchor's negatives and limits together. Equal keys keep their order, so that a
    negative exactly at the limit counts.
    """
    keys = mx.sym.concat(only(pairs.negative, distance, FAR), limits, dim=1)
    place = mx.sym.argsort(mx.sym.argsort(keys, axis=1), axis=1)
    place = mx.sym.split_v2(place, 2, axis=1)[1]  # of the limits
    return mx.sym.BlockGrad(place - mx.sym.argsort(mx.sym.argsort(limits, axis=1), axis=1))


def nth_negative(distance: Symbol, pairs: Pairs, n: Symbol) -> Symbol:
    """Distance from anchor a to its n[a, p]-th nearest negative, from 0 on, (N, N)."""
    order = mx.sym.argsort(only(pairs.negative, mx.sym.BlockGrad(distance), FAR), axis=1)
    row = mx.sym.broadcast_like(mx.sym.expand_dims(mx.sym.contrib.arange_like(n, axis=0), axis=1), n)
    column = mx.sym.gather_nd(order, mx.sym.stack(row, n, axis=0))
    return mx.sym.gather_nd(distance, mx.sym.BlockGrad(mx.sym.stack(row, column, axis=0)))


def _outer_equal(values: Symbol) -> Symbol:
    return mx.sym.broadcast_equal(mx.sym.expand_dims(values, axis=1), mx.sym.expand_dims(values, axis=0))
