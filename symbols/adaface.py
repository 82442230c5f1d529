"""AdaFace (Kim, Jain, Liu, CVPR 2022): the margin follows the embedding's norm, a measure of quality.

With ẑ = clip((‖x‖ − μ)/(σ/h), −1, 1), μ and σ of the norms, the target's logit is

    s·(cos(θ + g_angle) − g_add),   g_angle = −m·ẑ,   g_add = m·ẑ + m

so that a sharp photo (ẑ = 1) has the margin −m in the angle and 2m on the cosine, an average one
CosFace's m, and a poor one (ẑ = −1) ArcFace's m. No gradient goes through ẑ.
"""

from __future__ import annotations

import math
from typing import Optional

import mxnet as mx
from mxnet.symbol import Symbol

from arcface_mx.symbols.centres import class_centres
from arcface_mx.symbols.checks import check_choice, check_count, check_positive, check_range
from arcface_mx.symbols.margin import CLIP

SMALLEST_ANGLE = 1e-3  # θ + g_angle stays in this to π − this, as in the published code
SMALLEST_DEVIATION = 1e-3  # of the norms, where all are alike


def adaface_logits(
    embedding: Symbol,
    label: Symbol,
    num_classes: int,
    *,
    scale: float = 64.0,
    m: float = 0.4,
    h: float = 0.333,
    weight: Optional[Symbol] = None,
    ramp: Optional[Symbol] = None,
    dtype: str = "float32",
) -> Symbol:
    """Logits (N, num_classes) from `embedding` (N, d), NOT normalised before, and `label` (N,).

    m       margin, radians and cosine alike, 0 <= m < π/2; ramp (N,) multiplies it.
    h       the norm's deviations at which ẑ reaches ±1 are 1/h; above 0.
    weight  class centres (num_classes, d); by default a new Variable "fc7_weight".
    dtype   of the embedding, float32 or float64.

    μ and σ are those of the batch, as the paper's equation has them; its code smooths them over
    steps, which would give the graph a state. Norms beyond 0.001 to 100 count as these.
    Nodes for logging: "cosine" (N, n), "target_cosine" (N,), "quality" (N,) = ẑ.
    Raises ValueError, naming the argument.
    """
    check_count("num_classes", num_classes)
    check_positive("scale", scale)
    check_range("m", m, 0.0, math.pi / 2)
    check_positive("h", h)
    check_choice("dtype", dtype, ("float32", "float64"))
    if weight is None:
        weight = class_centres(embedding, num_classes)
    x = mx.sym.L2Normalization(embedding, mode="instance", name="unit_embedding")
    W = mx.sym.L2Normalization(weight, mode="instance", name="unit_centres")
    fc7 = mx.sym.FullyConnected(x, W, no_bias=True, num_hidden=num_classes, name="cosine")
    original = mx.sym.pick(fc7, label, axis=1, name="target_cosine")
    z = _quality(embedding, h)
    margin = m if ramp is None else ramp * m
    theta = mx.sym.arccos(mx.sym.clip(original, CLIP - 1.0, 1.0 - CLIP))
    angle = mx.sym.clip(theta - z * margin, SMALLEST_ANGLE, math.pi - SMALLEST_ANGLE)
    with_margin = mx.sym.cos(angle) - (z * margin + margin)
    one_hot = mx.sym.one_hot(label, depth=num_classes, dtype=dtype)
    return (fc7 + mx.sym.broadcast_mul(one_hot, mx.sym.expand_dims(with_margin - original, axis=1))) * scale


def _quality(embedding: Symbol, h: float) -> Symbol:
    """ẑ (N,): norms, centred and scaled by those of the batch; no gradient."""
    norm = mx.sym.clip(mx.sym.norm(mx.sym.BlockGrad(embedding), axis=1), 1e-3, 100.0)
    mean = mx.sym.mean(norm, axis=0, keepdims=True)
    from_mean = mx.sym.broadcast_sub(norm, mean)
    deviation = mx.sym.sqrt(mx.sym.mean(mx.sym.square(from_mean), axis=0, keepdims=True)) + SMALLEST_DEVIATION
    z = mx.sym.clip(mx.sym.broadcast_div(from_mean, deviation) * h, -1.0, 1.0)
    return mx.sym.BlockGrad(z, name="quality")
