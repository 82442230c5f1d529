"""The combined margin with softmax and cross entropy in one compiled operator.

It computes the same function and the same gradients as `cross_entropy(margin_logits(…), label)` in
about half of the time and memory; `arcface_mx/native/margin_loss.cc` explains how. It runs on a CPU
in float32.
"""

from __future__ import annotations

from typing import Dict, Optional

import mxnet as mx
from mxnet.symbol import Symbol

from arcface_mx.symbols.margin import check_margins


def margin_cross_entropy(
    embedding: Symbol,
    label: Symbol,
    num_classes: int,
    *,
    weight: Symbol,
    scale: float = 64.0,
    m1: float = 1.0,
    m2: float = 0.5,
    m3: float = 0.0,
    policy: str = "none",
    ramp: Optional[Symbol] = None,
) -> Dict[str, Symbol]:
    """Build −log softmax of the combined margin at the label, and what a trainer logs.

    Parameters
    ----------
    embedding : Symbol of shape (N, d)
        Embeddings, normalised here; float32.
    label : Symbol of shape (N,)
        Class of each sample, from 0 to num_classes − 1. The operator raises MXNetError when it runs
        with any other label.
    num_classes : int
        Number of classes n.
    weight : Symbol of shape (num_classes, d)
        Class centres; float32.
    scale : float, default=64.0
        As in `margin_logits`.
    m1 : float, default=1.0
        As in `margin_logits`.
    m2 : float, default=0.5
        As in `margin_logits`.
    m3 : float, default=0.0
        As in `margin_logits`.
    policy : {"none", "linear", "easy_margin"}, default="none"
        As in `margin_logits`.
    ramp : Symbol of shape (N,), optional
        As in `margin_logits`.

    Returns
    -------
    dict of str to Symbol of shape (N,)
        "cross_entropy", through which gradients reach `embedding` and `weight`; "target_cosine",
        which is cos θ_y; "correct", which is 1 where no cosine is larger than that of the label.

    Raises
    ------
    ValueError
        If an argument is out of range, or if the operator was not loaded with
        `arcface_mx.native.library`.
    """
    check_margins(num_classes, scale, m1, m2, m3, policy)
    if not hasattr(mx.sym, "arcface_margin_loss"):
        raise ValueError("the operator arcface_margin_loss is not loaded; use margin_logits and cross_entropy")
    inputs = [embedding, label, weight] + ([] if ramp is None else [ramp])
    outputs = mx.sym.arcface_margin_loss(
        *inputs, num_classes=num_classes, scale=scale, m1=m1, m2=m2, m3=m3, policy=policy, ramp=int(ramp is not None)
    )
    return {
        "cross_entropy": outputs[0],
        "target_cosine": mx.sym.BlockGrad(outputs[1]),
        "correct": mx.sym.BlockGrad(outputs[2]),
    }
