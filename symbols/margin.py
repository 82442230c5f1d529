"""The combined margin, eq. 4 of "ArcFace: Additive Angular Margin Loss for Deep Face Recognition".

The logit of sample i for class j is s·cos θ_j, and for its own class y it is

    s·(cos(m1·θ_y + m2) − m3)

with θ_j the angle between the embedding x_i and the class centre W_j. ArcFace (eq. 3) is m1, m2,
m3 = 1, 0.5, 0; CosFace 1, 0, 0.35; SphereFace-like 1.35, 0, 0; CM1 1, 0.3, 0.2; CM2 0.9, 0.4,
0.15; Norm-Softmax (eq. 2) 1, 0, 0. Algorithm 1 of the paper writes ArcFace for MXNet in nine
lines, and `margin_logits` keeps them, line for line, under the paper's names:

    1  x <- L2Normalization(x)                       6  marginal_target_logit <- cos(theta + m)
    2  W <- L2Normalization(W)                       7  one_hot <- one_hot(gt)
    3  fc7 <- FullyConnected(x, W, no bias)          8  fc7 <- fc7 + one_hot * expand_dims(
    4  original_target_logit <- pick(fc7, gt)                marginal_target_logit - original_target_logit)
    5  theta <- arccos(original_target_logit)        9  fc7 <- fc7 * s
"""

from __future__ import annotations

import math
from typing import Optional, Tuple, Union

import mxnet as mx
from mxnet.symbol import Symbol

from arcface_mx.symbols.centres import class_centres
from arcface_mx.symbols.checks import check_choice, check_count, check_finite, check_positive, check_range

POLICIES = ("none", "linear", "easy_margin")

# arccos has an infinite slope at ±1, and the float32 product of two unit vectors can leave
# [−1, 1]. 1 − 2⁻²³ (about 1.2e-7) is the second float32 below 1: the angle 0.03° remains, and a
# slope of at most 2,048, which line 1's own derivative, sin θ, cancels.
CLIP = 2.0**-23

Margin = Union[float, Symbol]


def check_margins(num_classes: int, scale: float, m1: float, m2: float, m3: float, policy: str) -> None:
    """Raise ValueError, naming the argument, where the combined margin (eq. 4) does not take it."""
    check_count("num_classes", num_classes)
    check_positive("scale", scale)
    check_positive("m1", m1)
    check_range("m2", m2, 0.0, math.pi)
    check_finite("m3", m3)
    check_choice("policy", policy, POLICIES)


def margin_logits(
    embedding: Symbol,
    label: Symbol,
    num_classes: int,
    *,
    scale: float = 64.0,
    m1: float = 1.0,
    m2: float = 0.5,
    m3: float = 0.0,
    policy: str = "none",
    literal: bool = False,
    weight: Optional[Symbol] = None,
    ramp: Optional[Symbol] = None,
    dtype: str = "float32",
) -> Symbol:
    """Logits (N, num_classes) before softmax, from `embedding` (N, d) and `label` (N,).

    scale   s, above 0. m1 above 0; m2 in radians, 0 <= m2 < π; m3 in units of the cosine.
    policy  what happens where m1·θ + m2 passes π, from where eq. 4 would rise again: "none", as
            printed; "linear", the curve goes on falling as cos θ − m2·sin m2 (ArcFace; `_continued`
            has the rest); "easy_margin", no margin at all where cos θ <= 0.
    literal Algorithm 1's operators and nothing else. One embedding exactly along or opposite its
            own centre makes it NaN, output and gradients. m1 adds a product and m3 a difference to
            line 6; a margin's operator is left out where it would change nothing. The default
            graph adds the clip after line 4: finite everywhere, equal to the literal graph bit for
            bit where |cos θ| <= 1 − 2⁻²³ and the policy does not step in.
    weight  class centres W (num_classes, d); by default a new Variable "fc7_weight"
            (`class_centres`).
    ramp    (N,), each value r in [0, 1]: the margins are 1 + (m1 − 1)·r, m2·r and m3·r, so that a
            trainer can raise them step by step. Not with `literal`.
    dtype   of the embedding, float32 or float64. Cast a float16 embedding first.

    The gradient is that of the formula, through the margin; where the clip is active, the target's
    own gradient is 0. Nodes for logging: "cosine" (N, n), line 3; "target_cosine" (N,), line 4.
    A label outside 0…n−1 is NOT noticed by MXNet: check labels first.
    Raises ValueError, naming the argument.
    """
    check_margins(num_classes, scale, m1, m2, m3, policy)
    check_choice("dtype", dtype, ("float32", "float64"))
    if literal and (policy != "none" or ramp is not None):
        raise ValueError("literal is Algorithm 1 as printed: it takes policy='none' and no ramp")
    if weight is None:
        weight = class_centres(embedding, num_classes)
    margins = (m1, m2, m3) if ramp is None else (1.0 + (m1 - 1.0) * ramp, m2 * ramp, m3 * ramp)

    x = mx.sym.L2Normalization(embedding, mode="instance", name="unit_embedding")  # line 1
    W = mx.sym.L2Normalization(weight, mode="instance", name="unit_centres")  # line 2
    fc7 = mx.sym.FullyConnected(x, W, no_bias=True, num_hidden=num_classes, name="cosine")  # line 3
    original_target_logit = mx.sym.pick(fc7, label, axis=1, name="target_cosine")  # line 4
    cosine = original_target_logit if literal else mx.sym.clip(original_target_logit, CLIP - 1.0, 1.0 - CLIP)
    theta = mx.sym.arccos(cosine, name="theta")  # line 5
    marginal_target_logit = _with_margin(theta, original_target_logit, margins, policy)  # line 6
    one_hot = mx.sym.one_hot(label, depth=num_classes, on_value=1.0, off_value=0.0, dtype=dtype)  # line 7
    # The factors of line 8 stand in this order so that the graph's JSON lists line 7 after line 6.
    fc7 = fc7 + mx.sym.broadcast_mul(  # line 8
        mx.sym.expand_dims(marginal_target_logit - original_target_logit, axis=1), one_hot
    )
    return fc7 * scale  # line 9


def _with_margin(theta: Symbol, cosine: Symbol, margins: Tuple[Margin, Margin, Margin], policy: str) -> Symbol:
    """Line 6, cos(m1·θ + m2) − m3, and the policy beyond m1·θ + m2 = π. No operator without effect."""
    m1, m2, m3 = margins
    angle = theta if _is(m1, 1.0) else theta * m1
    angle = angle if _is(m2, 0.0) else angle + m2
    logit = mx.sym.cos(angle)
    logit = logit if _is(m3, 0.0) else logit - m3
    if policy == "linear":
        return mx.sym.where(angle > math.pi, _continued(cosine, m1, m2, m3), logit)
    if policy == "easy_margin":
        return mx.sym.where(cosine > 0.0, logit, cosine)
    return logit


def _continued(cosine: Symbol, m1: Margin, m2: Margin, m3: Margin) -> Symbol:
    """Policy "linear" beyond θ* = (π − m2)/m1: cos θ − φ·sin φ − m3 with φ = π − θ*.

    For ArcFace φ = m2. Where φ·sin φ is too small to keep the curve from jumping up at θ*
    (φ > 2.33, far from any margin in use), 1 − cos φ, which makes it continuous, takes its place.
    """
    symbolic = isinstance(m1, Symbol)
    sin, cos, larger = (mx.sym.sin, mx.sym.cos, mx.sym.maximum) if symbolic else (math.sin, math.cos, max)
    phi = math.pi - (math.pi - m2) / m1
    return cosine - (larger(phi * sin(phi), 1.0 - cos(phi)) + m3)


def _is(margin: Margin, number: float) -> bool:
    return not isinstance(margin, Symbol) and margin == number
