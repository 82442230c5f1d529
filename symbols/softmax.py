"""Classification without a margin (eq. 1 and eq. 2), and the cross entropy that every head feeds."""

from __future__ import annotations

from typing import Optional

import mxnet as mx
from mxnet.symbol import Symbol

from arcface_mx.symbols.centres import class_centres
from arcface_mx.symbols.checks import check_count, check_positive


def softmax_logits(
    embedding: Symbol, num_classes: int, *, weight: Optional[Symbol] = None, bias: Optional[Symbol] = None
) -> Symbol:
    """Eq. 1: W_j·x_i + b_j, shape (N, num_classes), from `embedding` (N, d); output node "fc7".

    `weight` (num_classes, d) is by default a new Variable "fc7_weight", `bias` (num_classes,) a
    new "fc7_bias", which starts at 0.
    """
    check_count("num_classes", num_classes)
    if weight is None:
        weight = class_centres(embedding, num_classes)
    if bias is None:
        bias = mx.sym.Variable("fc7_bias", init=mx.init.Zero())
    return mx.sym.FullyConnected(embedding, weight, bias, num_hidden=num_classes, name="fc7")


def norm_softmax_logits(
    embedding: Symbol, num_classes: int, *, scale: float = 64.0, weight: Optional[Symbol] = None
) -> Symbol:
    """Eq. 2, Norm-Softmax: s·cos θ_j, shape (N, num_classes); node "cosine" is cos θ_j."""
    check_count("num_classes", num_classes)
    check_positive("scale", scale)
    if weight is None:
        weight = class_centres(embedding, num_classes)
    x = mx.sym.L2Normalization(embedding, mode="instance", name="unit_embedding")
    W = mx.sym.L2Normalization(weight, mode="instance", name="unit_centres")
    cosine = mx.sym.FullyConnected(x, W, no_bias=True, num_hidden=num_classes, name="cosine")
    return cosine * scale


def cross_entropy(logits: Symbol, label: Symbol) -> Symbol:
    """−log softmax(logits)[label] of each sample, shape (N,), from `logits` (N, n), `label` (N,).

    Right where the target's probability underflows: at s = 64 it is e⁻¹²⁸ and the loss 128. The
    gradient with respect to the logits is p − onehot(label).
    """
    return -mx.sym.pick(mx.sym.log_softmax(logits, axis=1), label, axis=1)
