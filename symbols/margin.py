"""The combined margin, eq. 4 of "ArcFace: Additive Angular Margin Loss for Deep Face Recognition".

The logit of sample i for class j is s·cos θ_j, where θ_j is the angle between the embedding x_i and
the class centre W_j. For the sample's class y it is

    s·(cos(m1·θ_y + m2) − m3)

    loss                   m1    m2   m3
    ArcFace (eq. 3)        1     0.5  0
    CosFace                1     0    0.35
    SphereFace-like        1.35  0    0
    CM1                    1     0.3  0.2
    CM2                    0.9   0.4  0.15
    Norm-Softmax (eq. 2)   1     0    0

Algorithm 1 of the paper is ArcFace for MXNet in nine lines. `margin_logits` has the same nine lines
with the paper's names:

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

# The slope of arccos is infinite at ±1, and the float32 product of two unit vectors can leave
# [−1, 1]. 1 − 2⁻²³ (about 1 − 1.2e-7) is the second float32 below 1. It stands for an angle of 0.03°
# and a slope of at most 2,048, which the derivative of line 1, sin θ, cancels.
CLIP = 2.0**-23

Margin = Union[float, Symbol]


def check_margins(num_classes: int, scale: float, m1: float, m2: float, m3: float, policy: str) -> None:
    """Raise ValueError if the combined margin (eq. 4) does not take one of these; the message names it."""
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
    """Build the logits of the combined margin, as Algorithm 1 of the paper does for ArcFace.

    Parameters
    ----------
    embedding : Symbol of shape (N, d)
        Embeddings x, normalised here.
    label : Symbol of shape (N,)
        Class of each sample, from 0 to num_classes − 1. MXNet does not notice other labels, so check
        them before.
    num_classes : int
        Number of classes n.
    scale : float, default=64.0
        s, above 0.
    m1 : float, default=1.0
        Multiplier of the angle, above 0.
    m2 : float, default=0.5
        Margin added to the angle, in radians; 0 <= m2 < π.
    m3 : float, default=0.0
        Margin subtracted from the cosine.
    policy : {"none", "linear", "easy_margin"}, default="none"
        What happens where m1·θ + m2 is above π, from where eq. 4 would rise again. "none" follows the
        equation as printed. "linear" lets the curve fall on, for ArcFace as cos θ − m2·sin m2.
        "easy_margin" adds no margin where cos θ <= 0.
    literal : bool, default=False
        Use the operators of Algorithm 1 and no other. One embedding exactly along or opposite the
        centre of its class then makes outputs and gradients NaN.
    weight : Symbol of shape (num_classes, d), optional
        Class centres W; by default a new Variable "fc7_weight" (see `class_centres`).
    ramp : Symbol of shape (N,), optional
        r in [0, 1] for each sample, with which a trainer raises the margins slowly: they become
        1 + (m1 − 1)·r, m2·r and m3·r. Not with `literal`.
    dtype : {"float32", "float64"}, default="float32"
        Data type of the embedding. Cast a float16 embedding before.

    Returns
    -------
    Symbol of shape (N, num_classes)
        Logits for `cross_entropy`. The nodes "cosine" (N, n), line 3, and "target_cosine" (N,),
        line 4, are there for logging.

    Raises
    ------
    ValueError
        If an argument is out of range; the message names it.

    Notes
    -----
    Equation 4 and Algorithm 1 of the paper. m1 adds a product to line 6 and m3 a difference; an
    operator that would change nothing is left out. By default a clip follows line 4, which keeps
    everything finite. The result equals the literal graph bit for bit where |cos θ| <= 1 − 2⁻²³ and
    `policy` changes nothing. The gradient is that of the formula, also through the margin; where the
    clip is active, the gradient of the target logit is 0.
    """
    check_margins(num_classes, scale, m1, m2, m3, policy)
    check_choice("dtype", dtype, ("float32", "float64"))
    if literal and (policy != "none" or ramp is not None):
        raise ValueError("`literal` is Algorithm 1 as printed: it takes `policy` none and `margin_ramp` 0")
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
    # With the factors of line 8 in this order, the JSON of the graph lists line 7 after line 6.
    fc7 = fc7 + mx.sym.broadcast_mul(  # line 8
        mx.sym.expand_dims(marginal_target_logit - original_target_logit, axis=1), one_hot
    )
    return fc7 * scale  # line 9


def _with_margin(theta: Symbol, cosine: Symbol, margins: Tuple[Margin, Margin, Margin], policy: str) -> Symbol:
    """Line 6, cos(m1·θ + m2) − m3, and the policy beyond m1·θ + m2 = π, without operators that change nothing."""
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
    """Continue the curve beyond θ* = (π − m2)/m1 as cos θ − φ·sin φ − m3, with φ = π − θ* (policy "linear").

    For ArcFace φ is m2. Above φ = 2.33, far from any margin in use, φ·sin φ is too small to keep the
    curve from jumping up at θ*; there 1 − cos φ, which makes it continuous, is used instead.
    """
    symbolic = isinstance(m1, Symbol)
    sin, cos, larger = (mx.sym.sin, mx.sym.cos, mx.sym.maximum) if symbolic else (math.sin, math.cos, max)
    phi = math.pi - (math.pi - m2) / m1
    return cosine - (larger(phi * sin(phi), 1.0 - cos(phi)) + m3)


def _is(margin: Margin, number: float) -> bool:
    return not isinstance(margin, Symbol) and margin == number
