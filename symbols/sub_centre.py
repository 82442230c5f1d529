"""Sub-centre ArcFace (Deng et al., ECCV 2020): K centres a class, of which the nearest one counts.

The images of a class may fall into several groups, such as poses or mislabelled images. With several
centres the groups need not be pulled to one direction. cos θ_j is the largest cosine between the
embedding and the K sub-centres of class j; the rest is ArcFace, eq. 3.
"""

from __future__ import annotations

import math
from typing import Optional

import mxnet as mx
from mxnet.symbol import Symbol

from arcface_mx.symbols.centres import add_at_label, class_centres, cosines
from arcface_mx.symbols.checks import check_choice, check_count, check_positive, check_range
from arcface_mx.symbols.margin import CLIP


def sub_centre_logits(
    embedding: Symbol,
    label: Symbol,
    num_classes: int,
    *,
    sub_centres: int = 3,
    scale: float = 64.0,
    m: float = 0.5,
    weight: Optional[Symbol] = None,
    ramp: Optional[Symbol] = None,
    dtype: str = "float32",
) -> Symbol:
    """Build the logits of sub-centre ArcFace.

    Parameters
    ----------
    embedding : Symbol of shape (N, d)
        Embeddings, normalised here.
    label : Symbol of shape (N,)
        Class of each sample, from 0 to num_classes − 1.
    num_classes : int
        Number of classes n.
    sub_centres : int, default=3
        K, at least 1. With K = 1 the result is that of `margin_logits` with m2 = m.
    scale : float, default=64.0
        s, above 0.
    m : float, default=0.5
        Margin in radians, 0 <= m < π.
    weight : Symbol of shape (num_classes·K, d), optional
        Sub-centres; those of class j are the rows j·K to j·K + K − 1. By default a new Variable
        "fc7_weight" (see `class_centres`).
    ramp : Symbol of shape (N,), optional
        Factor of the margin for each sample, in [0, 1], with which a trainer raises it slowly.
    dtype : {"float32", "float64"}, default="float32"
        Data type of the embedding.

    Returns
    -------
    Symbol of shape (N, num_classes)
        Logits for `cross_entropy`. The nodes "cosine" (N, n) and "target_cosine" (N,) are there for
        logging.

    Raises
    ------
    ValueError
        If an argument is out of range; the message names it.

    Notes
    -----
    In each class only the nearest sub-centre receives a gradient.
    """
    check_count("num_classes", num_classes)
    check_count("sub_centres", sub_centres)
    check_positive("scale", scale)
    check_range("m", m, 0.0, math.pi)
    check_choice("dtype", dtype, ("float32", "float64"))
    rows = num_classes * sub_centres
    if weight is None:
        weight = class_centres(embedding, rows)
    every = cosines(embedding, weight, rows, "sub_cosine")
    fc7 = mx.sym.max(mx.sym.reshape(every, shape=(-1, num_classes, sub_centres)), axis=2, name="cosine")
    original = mx.sym.pick(fc7, label, axis=1, name="target_cosine")
    theta = mx.sym.arccos(mx.sym.clip(original, CLIP - 1.0, 1.0 - CLIP))
    with_margin = mx.sym.cos(theta + (m if ramp is None else ramp * m))
    return add_at_label(fc7, label, with_margin - original, num_classes, dtype) * scale
