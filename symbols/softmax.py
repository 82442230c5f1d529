"""Classification without a margin (eq. 1 and eq. 2), and the cross entropy of any logits."""

from __future__ import annotations

from typing import Optional

import mxnet as mx
from mxnet.symbol import Symbol

from arcface_mx.symbols.centres import class_centres, cosines
from arcface_mx.symbols.checks import check_count, check_positive


def softmax_logits(
    embedding: Symbol, num_classes: int, *, weight: Optional[Symbol] = None, bias: Optional[Symbol] = None
) -> Symbol:
    """Build the logits of plain softmax, W_j·x_i + b_j.

    Parameters
    ----------
    embedding : Symbol of shape (N, d)
        Embeddings.
    num_classes : int
        Number of classes n.
    weight : Symbol of shape (num_classes, d), optional
        Class centres; by default a new Variable "fc7_weight" (see `class_centres`).
    bias : Symbol of shape (num_classes,), optional
        Bias of each class; by default a new Variable "fc7_bias", which starts at 0.

    Returns
    -------
    Symbol of shape (N, num_classes)
        Logits for `cross_entropy`, node "fc7".

    Raises
    ------
    ValueError
        If `num_classes` is out of range.

    Notes
    -----
    Equation 1 of the paper.
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
    """Build the logits of Norm-Softmax, s·cos θ_j.

    Parameters
    ----------
    embedding : Symbol of shape (N, d)
        Embeddings, normalised here.
    num_classes : int
        Number of classes n.
    scale : float, default=64.0
        s, above 0.
    weight : Symbol of shape (num_classes, d), optional
        Class centres; by default a new Variable "fc7_weight" (see `class_centres`).

    Returns
    -------
    Symbol of shape (N, num_classes)
        Logits for `cross_entropy`. The node "cosine" holds cos θ_j.

    Raises
    ------
    ValueError
        If an argument is out of range; the message names it.

    Notes
    -----
    Equation 2 of the paper.
    """
    check_count("num_classes", num_classes)
    check_positive("scale", scale)
    if weight is None:
        weight = class_centres(embedding, num_classes)
    return cosines(embedding, weight, num_classes) * scale


def cross_entropy(logits: Symbol, label: Symbol) -> Symbol:
    """Build the cross entropy of each sample.

    Parameters
    ----------
    logits : Symbol of shape (N, n)
        Logits of any head.
    label : Symbol of shape (N,)
        Class of each sample.

    Returns
    -------
    Symbol of shape (N,)
        −log softmax(logits)[label]. Its gradient with respect to the logits is p − onehot(label).

    Notes
    -----
    The value is also right where the target's probability underflows: at s = 64 the probability can
    be e⁻¹²⁸, and the loss is 128.
    """
    return -mx.sym.pick(mx.sym.log_softmax(logits, axis=1), label, axis=1)
