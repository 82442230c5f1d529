"""Terms on the class centres that are added to a classification loss: intra (eq. 5), inter (eq. 6)."""

from __future__ import annotations

import math

import mxnet as mx
from mxnet.symbol import Symbol

from arcface_mx.symbols.centres import own_centres
from arcface_mx.symbols.checks import check_choice, check_count
from arcface_mx.symbols.margin import CLIP


def intra_loss(embedding: Symbol, label: Symbol, weight: Symbol) -> Symbol:
    """Build the intra term: the angle between each embedding and the centre of its class.

    Parameters
    ----------
    embedding : Symbol of shape (N, d)
        Embeddings, normalised here.
    label : Symbol of shape (N,)
        Class of each sample.
    weight : Symbol of shape (n, d)
        Class centres of the head, normalised here.

    Returns
    -------
    Symbol of shape (N,)
        θ_y/π of each sample, in [0, 1].

    Notes
    -----
    Equation 5 of the paper. Within 0.03° of 0 and π the gradient is 0 (the clip of `margin_logits`),
    so it is finite everywhere.
    """
    x = mx.sym.L2Normalization(embedding, mode="instance")
    centre = mx.sym.L2Normalization(own_centres(weight, label), mode="instance")
    cosine = mx.sym.clip(mx.sym.sum(x * centre, axis=1), CLIP - 1.0, 1.0 - CLIP)
    return mx.sym.arccos(cosine) / math.pi


def inter_loss(label: Symbol, weight: Symbol, num_classes: int, *, dtype: str = "float32") -> Symbol:
    """Build the inter term: minus the mean angle between the centre of a class and all others.

    Parameters
    ----------
    label : Symbol of shape (N,)
        Class of each sample, from 0 to num_classes − 1.
    weight : Symbol of shape (num_classes, d)
        Class centres of the head, normalised here.
    num_classes : int
        Number of classes n.
    dtype : {"float32", "float64"}, default="float32"
        Data type of the centres.

    Returns
    -------
    Symbol of shape (N,)
        −(1/(π(n−1)))·Σ_{j≠y} arccos(W_y·W_j) of each sample, in [−1, 0]. With one class it is 0.

    Raises
    ------
    ValueError
        If an argument is out of range; the message names it.

    Notes
    -----
    Equation 6 of the paper. It takes the memory of a few N×n matrices and never n×n. arccos is
    written as π/2 − arcsin, so that the sample's class can be left out by setting its cosine to 0:
    arcsin 0 = 0. Two centres that coincide do not push each other (the clip of `margin_logits`).
    """
    centre = own_centres(weight, label)
    pairs = num_classes - 1
    total = arcsines(centre, label, weight, num_classes, dtype=dtype)
    return (total - pairs * math.pi / 2.0) / (math.pi * max(pairs, 1))


def arcsines(centre: Symbol, label: Symbol, weight: Symbol, num_classes: int, *, dtype: str = "float32") -> Symbol:
    """Build Σ_{j≠y} arcsin(W_y·W_j), the part of the inter term that can be summed over shards.

    Parameters
    ----------
    centre : Symbol of shape (N, d)
        W_y, the centre of each sample's class, normalised here.
    label : Symbol of shape (N,)
        Row of `weight` that is the centre of each sample's class. Where `weight` is one shard of the
        centres, −1 stands for a class of another shard.
    weight : Symbol of shape (num_classes, d)
        All class centres, or one shard of them; normalised here.
    num_classes : int
        Number of rows of `weight`.
    dtype : {"float32", "float64"}, default="float32"
        Data type of the centres.

    Returns
    -------
    Symbol of shape (N,)
        The sum over the rows of `weight` other than y. The sums of all shards add up to the sum over
        all classes.

    Raises
    ------
    ValueError
        If an argument is out of range; the message names it.
    """
    check_count("num_classes", num_classes)
    check_choice("dtype", dtype, ("float32", "float64"))
    centre = mx.sym.L2Normalization(centre, mode="instance")
    W = mx.sym.L2Normalization(weight, mode="instance")
    others = mx.sym.one_hot(label, depth=num_classes, on_value=0.0, off_value=1.0, dtype=dtype)
    cosine = mx.sym.FullyConnected(centre, W, no_bias=True, num_hidden=num_classes) * others
    return mx.sym.sum(mx.sym.arcsin(mx.sym.clip(cosine, CLIP - 1.0, 1.0 - CLIP)), axis=1)
