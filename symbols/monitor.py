"""What a trainer logs beside the loss. No gradient passes through any of it.

`BlockGrad` stands at the inputs of these graphs. At their outputs MXNet would still plan and run the
backward pass of every operator, with gradients of zero.
"""

from __future__ import annotations

import mxnet as mx
from mxnet.symbol import Symbol


def target_cosine(embedding: Symbol, label: Symbol, weight: Symbol) -> Symbol:
    """Build cos θ_y, the cosine between each embedding and the centre of its class.

    Parameters
    ----------
    embedding : Symbol of shape (N, d)
        Embeddings.
    label : Symbol of shape (N,)
        Class of each sample.
    weight : Symbol of shape (n, d)
        Class centres of any head.

    Returns
    -------
    Symbol of shape (N,)
        Cosines. The graph gathers N centres and does not form the N×n cosines.
    """
    x = mx.sym.L2Normalization(mx.sym.BlockGrad(embedding), mode="instance")
    centre = mx.sym.L2Normalization(mx.sym.take(mx.sym.BlockGrad(weight), label, axis=0), mode="instance")
    return mx.sym.sum(x * centre, axis=1)


def margin_free_logits(head: Symbol) -> Symbol:
    """Find the logits of a head before any margin was added.

    Parameters
    ----------
    head : Symbol of shape (N, n)
        Logits from a builder of this folder.

    Returns
    -------
    Symbol of shape (N, n)
        The node "cosine" or "plain_logits" of the head, or the head itself where it has neither.
    """
    internals = head.get_internals()
    names = internals.list_outputs()
    for name in ("cosine_output", "plain_logits_output"):
        if name in names:
            return internals[name]
    return head


def correct_without_margin(head: Symbol, label: Symbol) -> Symbol:
    """Build an indicator of the samples that are classified correctly without a margin.

    Parameters
    ----------
    head : Symbol of shape (N, n)
        Logits from a builder of this folder.
    label : Symbol of shape (N,)
        Class of each sample.

    Returns
    -------
    Symbol of shape (N,)
        1 where no logit without margin is higher than that of the label, else 0. A label that shares
        the highest logit with other classes counts as correct.

    Notes
    -----
    The highest logit is found by `max`. On a GPU MXNet computes `argmax` over an axis in one thread for
    each row, which takes longer than the backbone if there are many classes.
    """
    logits = mx.sym.BlockGrad(margin_free_logits(head))
    return mx.sym.pick(logits, label, axis=1) >= mx.sym.max(logits, axis=1)
