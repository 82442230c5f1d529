"""AdaFace (Kim, Jain, Liu, CVPR 2022): the margin depends on the norm of the embedding.

The norm is a measure of image quality. With ẑ = clip((‖x‖ − μ)/(σ/h), −1, 1), where μ and σ are the
mean and standard deviation of the norms, the target logit is

    s·(cos(θ + g_angle) − g_add),   g_angle = −m·ẑ,   g_add = m·ẑ + m

A sharp image (ẑ = 1) gets the margins −m on the angle and 2m on the cosine. An average image (ẑ = 0)
gets CosFace's margin m, and a poor one (ẑ = −1) gets ArcFace's margin m.
"""

from __future__ import annotations

import math
from typing import Optional

import mxnet as mx
from mxnet.symbol import Symbol

from arcface_mx.symbols.centres import add_at_label, class_centres, cosines
from arcface_mx.symbols.checks import check_choice, check_count, check_positive, check_range
from arcface_mx.symbols.margin import CLIP

MIN_ANGLE = 1e-3  # θ + g_angle is clipped to [MIN_ANGLE, π − MIN_ANGLE], as in the published code
MIN_DEVIATION = 1e-3  # added to σ, which is 0 where all norms are equal


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
    """Build the logits of AdaFace.

    Parameters
    ----------
    embedding : Symbol of shape (N, d)
        Embeddings. They must not be normalised before, because their norms are used.
    label : Symbol of shape (N,)
        Class of each sample, from 0 to num_classes − 1.
    num_classes : int
        Number of classes n.
    scale : float, default=64.0
        s, above 0.
    m : float, default=0.4
        Margin, in radians on the angle and as it is on the cosine; 0 <= m < π/2.
    h : float, default=0.333
        ẑ reaches ±1 where the norm is 1/h standard deviations from the mean; above 0.
    weight : Symbol of shape (num_classes, d), optional
        Class centres; by default a new Variable "fc7_weight" (see `class_centres`).
    ramp : Symbol of shape (N,), optional
        Factor of the margin for each sample, in [0, 1], with which a trainer raises it slowly.
    dtype : {"float32", "float64"}, default="float32"
        Data type of the embedding.

    Returns
    -------
    Symbol of shape (N, num_classes)
        Logits for `cross_entropy`. The nodes "cosine" (N, n), "target_cosine" (N,) and "quality"
        (N,), which is ẑ, are there for logging.

    Raises
    ------
    ValueError
        If an argument is out of range; the message names it.

    Notes
    -----
    μ and σ are those of the batch, as in the paper's equation. The published code smooths them over
    steps instead, which would give the graph a state. Norms are clipped to [0.001, 100]. No gradient
    passes through ẑ.
    """
    check_count("num_classes", num_classes)
    check_positive("scale", scale)
    check_range("m", m, 0.0, math.pi / 2)
    check_positive("h", h)
    check_choice("dtype", dtype, ("float32", "float64"))
    if weight is None:
        weight = class_centres(embedding, num_classes)
    fc7 = cosines(embedding, weight, num_classes)
    original = mx.sym.pick(fc7, label, axis=1, name="target_cosine")
    z = _quality(embedding, h)
    margin = m if ramp is None else ramp * m
    theta = mx.sym.arccos(mx.sym.clip(original, CLIP - 1.0, 1.0 - CLIP))
    angle = mx.sym.clip(theta - z * margin, MIN_ANGLE, math.pi - MIN_ANGLE)
    with_margin = mx.sym.cos(angle) - (z * margin + margin)
    return add_at_label(fc7, label, with_margin - original, num_classes, dtype) * scale


def _quality(embedding: Symbol, h: float) -> Symbol:
    """ẑ (N,), without gradient."""
    norm = mx.sym.clip(mx.sym.norm(mx.sym.BlockGrad(embedding), axis=1), 1e-3, 100.0)
    mean = mx.sym.mean(norm, axis=0, keepdims=True)
    from_mean = mx.sym.broadcast_sub(norm, mean)
    deviation = mx.sym.sqrt(mx.sym.mean(mx.sym.square(from_mean), axis=0, keepdims=True)) + MIN_DEVIATION
    z = mx.sym.clip(mx.sym.broadcast_div(from_mean, deviation) * h, -1.0, 1.0)
    return mx.sym.BlockGrad(z, name="quality")
