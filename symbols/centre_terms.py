"""Terms on class centres that are added to a classification loss: intra (eq. 5) and inter (eq. 6)."""

from __future__ import annotations

import math

import mxnet as mx
from mxnet.symbol import Symbol

from arcface_mx.symbols.checks import check_choice, check_count
from arcface_mx.symbols.margin import CLIP


def intra_loss(embedding: Symbol, label: Symbol, weight: Symbol) -> Symbol:
    """Eq. 5: θ_y/π of each sample, shape (N,): the angle between embedding and own class centre.

    `embedding` (N, d), `label` (N,), `weight` the head's centres (n, d). In [0, 1]. Within 0.03°
    of 0 or π the gradient is 0 (the clip of `margin_logits`), so it is finite everywhere.
    """
    x = mx.sym.L2Normalization(embedding, mode="instance")
    own = mx.sym.L2Normalization(mx.sym.take(weight, label, axis=0), mode="instance")
    cosine = mx.sym.clip(mx.sym.sum(x * own, axis=1), CLIP - 1.0, 1.0 - CLIP)
    return mx.sym.arccos(cosine) / math.pi


def inter_loss(label: Symbol, weight: Symbol, num_classes: int, *, dtype: str = "float32") -> Symbol:
    """Eq. 6: −(1/(π(n−1)))·Σ_{j≠y} arccos(W_y·W_j) of each sample, shape (N,), over all n classes.

    `label` (N,), `weight` the head's centres (n, d), normalised here. In [−1, 0]; with one class 0.
    Memory is that of a few N×n matrices, never n×n. arccos is written as π/2 − arcsin, which lets
    the own class drop out before it: its cosine becomes 0, and arcsin 0 = 0. Two centres that
    coincide push each other nowhere (the clip of `margin_logits`).
    """
    own = mx.sym.take(weight, label, axis=0)
    pairs = num_classes - 1
    return (arcsines(own, label, weight, num_classes, dtype=dtype) - pairs * math.pi / 2.0) / (math.pi * max(pairs, 1))


def arcsines(own: Symbol, label: Symbol, weight: Symbol, num_classes: int, *, dtype: str = "float32") -> Symbol:
    """Σ_j arcsin(W_y·W_j) of each sample, (N,), over the `num_classes` rows j ≠ y of `weight`.

    `own` (N, d) are the samples' own centres W_y. Where `weight` is a part of the centres, a label that
    is none of its rows is −1, and sums over the parts are the sum over all.
    """
    check_count("num_classes", num_classes)
    check_choice("dtype", dtype, ("float32", "float64"))
    own = mx.sym.L2Normalization(own, mode="instance")
    W = mx.sym.L2Normalization(weight, mode="instance")
    others = mx.sym.one_hot(label, depth=num_classes, on_value=0.0, off_value=1.0, dtype=dtype)
    cosine = mx.sym.FullyConnected(own, W, no_bias=True, num_hidden=num_classes) * others
    return mx.sym.sum(mx.sym.arcsin(mx.sym.clip(cosine, CLIP - 1.0, 1.0 - CLIP)), axis=1)
