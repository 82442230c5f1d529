"""Sub-centre ArcFace (Deng et al., ECCV 2020): K centres a class, the nearest one counts.

A class whose photos fall into several groups (poses, mislabelled photos) need not pull them to one
point: cos θ_j is the largest cosine between the embedding and the K sub-centres of class j. From
there on it is ArcFace, eq. 3 of the first paper.
"""

from __future__ import annotations

import math
from typing import Optional

import mxnet as mx
from mxnet.symbol import Symbol

from arcface_mx.symbols.centres import class_centres
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
    """Logits (N, num_classes) from `embedding` (N, d) and `label` (N,).

    sub_centres  K, at least 1; K = 1 is `margin_logits` with m2 = m.
    m            radians, 0 <= m < π; ramp (N,) multiplies it.
    weight       (num_classes·K, d), the sub-centres of class j in rows j·K to j·K + K − 1; by
                 default a new Variable "fc7_weight".
    dtype        of the embedding, float32 or float64.

    The gradient goes to the nearest sub-centre of each class alone. Nodes for logging: "cosine"
    (N, n), "target_cosine" (N,). Raises ValueError, naming the argument.
    """
    check_count("num_classes", num_classes)
    check_count("sub_centres", sub_centres)
    check_positive("scale", scale)
    check_range("m", m, 0.0, math.pi)
    check_choice("dtype", dtype, ("float32", "float64"))
    rows = num_classes * sub_centres
    if weight is None:
        weight = class_centres(embedding, rows)
    x = mx.sym.L2Normalization(embedding, mode="instance", name="unit_embedding")
    W = mx.sym.L2Normalization(weight, mode="instance", name="unit_centres")
    every = mx.sym.FullyConnected(x, W, no_bias=True, num_hidden=rows, name="sub_cosine")
    fc7 = mx.sym.max(mx.sym.reshape(every, shape=(-1, num_classes, sub_centres)), axis=2, name="cosine")
    original = mx.sym.pick(fc7, label, axis=1, name="target_cosine")
    theta = mx.sym.arccos(mx.sym.clip(original, CLIP - 1.0, 1.0 - CLIP))
    with_margin = mx.sym.cos(theta + (m if ramp is None else ramp * m))
    one_hot = mx.sym.one_hot(label, depth=num_classes, dtype=dtype)
    return (fc7 + mx.sym.broadcast_mul(one_hot, mx.sym.expand_dims(with_margin - original, axis=1))) * scale
