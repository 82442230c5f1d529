"""What a trainer logs beside the loss. Nothing here sends a gradient back."""

from __future__ import annotations

import mxnet as mx
from mxnet.symbol import Symbol


def target_cosine(embedding: Symbol, label: Symbol, weight: Symbol) -> Symbol:
    """cos θ_y, the cosine between each embedding and its own class centre, shape (N,).

    For any head over centres `weight` (n, d). Gathers N centres instead of forming N×n cosines.
    """
    x = mx.sym.L2Normalization(embedding, mode="instance")
    own = mx.sym.L2Normalization(mx.sym.take(weight, label, axis=0), mode="instance")
    return mx.sym.BlockGrad(mx.sym.sum(x * own, axis=1))


def margin_free_logits(head: Symbol) -> Symbol:
    """The head's N×n scores before any margin: node "cosine" or "plain_logits", else the head itself."""
    internals = head.get_internals()
    names = internals.list_outputs()
    for name in ("cosine_output", "plain_logits_output"):
        if name in names:
            return internals[name]
    return head


def correct_without_margin(head: Symbol, label: Symbol) -> Symbol:
    """1 where the highest score without margin is the label's, else 0, shape (N,)."""
    return mx.sym.BlockGrad(mx.sym.argmax(margin_free_logits(head), axis=1) == label)
