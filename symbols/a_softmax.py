"""A-Softmax, the loss of SphereFace (Liu et al., CVPR 2017), with its annealed λ.

Class centres have length 1 and there is no bias, but embeddings are not normalised. The logit of
sample i for class j is ‖x_i‖·cos θ_j. For the sample's class y it is

    ‖x_i‖·(λ·cos θ_y + ψ(θ_y)) / (1 + λ),   ψ(θ) = (−1)^k·cos(m·θ) − 2k for θ in [kπ/m, (k+1)π/m]

with k = 0 … m−1. ψ is continuous and falls from 1 at θ = 0 to 1 − 2m at θ = π.
"""

from __future__ import annotations

import math
from typing import Optional

import mxnet as mx
from mxnet.symbol import Symbol

from arcface_mx.symbols.centres import add_at_label, class_centres
from arcface_mx.symbols.checks import check_choice, check_count


def a_softmax_logits(
    embedding: Symbol,
    label: Symbol,
    num_classes: int,
    m: int = 4,
    lam: Optional[Symbol] = None,
    *,
    weight: Optional[Symbol] = None,
    dtype: str = "float32",
) -> Symbol:
    """Build the logits of A-Softmax.

    Parameters
    ----------
    embedding : Symbol of shape (N, d)
        Embeddings, which are not normalised.
    label : Symbol of shape (N,)
        Class of each sample, from 0 to num_classes − 1.
    num_classes : int
        Number of classes n.
    m : int, default=4
        Multiplier of the angle, at least 1. With m = 1 the loss is softmax over normalised centres.
    lam : Symbol of shape (N,), optional
        λ, at least 0 and the same number for every sample. A trainer feeds it, so that it can fall
        during training (see `annealed_lambda`). None means λ = 0.
    weight : Symbol of shape (num_classes, d), optional
        Class centres; by default a new Variable "fc7_weight" (see `class_centres`).
    dtype : {"float32", "float64"}, default="float32"
        Data type of the embedding.

    Returns
    -------
    Symbol of shape (N, num_classes)
        Logits for `cross_entropy`. The node "plain_logits" holds ‖x_i‖·cos θ_j.

    Raises
    ------
    ValueError
        If an argument is out of range; the message names it.

    Notes
    -----
    cos(m·θ) is computed as the Chebyshev polynomial of cos θ. No arccos is needed, so the gradient
    is exact and finite everywhere, also at θ = 0 and θ = π. ‖x‖ is sqrt(sum x² + 1e-10), as in
    MXNet's L2Normalization, which makes it 1e-5 for a zero embedding.
    """
    check_count("num_classes", num_classes)
    check_count("m", m)
    check_choice("dtype", dtype, ("float32", "float64"))
    if weight is None:
        weight = class_centres(embedding, num_classes)
    W = mx.sym.L2Normalization(weight, mode="instance", name="unit_centres")
    plain = mx.sym.FullyConnected(embedding, W, no_bias=True, num_hidden=num_classes, name="plain_logits")
    norm = mx.sym.sqrt(mx.sym.sum(mx.sym.square(embedding), axis=1) + 1e-10)
    original = mx.sym.pick(plain, label, axis=1)
    cosine = mx.sym.elemwise_div(original, norm, name="target_cosine")
    target = _psi(cosine, m)
    if lam is not None:
        target = (lam * cosine + target) / (1.0 + lam)
    return add_at_label(plain, label, norm * target - original, num_classes, dtype)


def annealed_lambda(
    iteration: float, base: float = 1000.0, gamma: float = 0.12, power: float = 1.0, minimum: float = 5.0
) -> float:
    """Compute λ of SphereFace's schedule.

    Parameters
    ----------
    iteration : float
        Number of steps done.
    base : float, default=1000.0
        λ at iteration 0.
    gamma : float, default=0.12
        Speed at which λ falls.
    power : float, default=1.0
        Exponent of the fall.
    minimum : float, default=5.0
        Lower bound of λ.

    Returns
    -------
    float
        The larger of `minimum` and base·(1 + gamma·iteration)^(−power).
    """
    return max(minimum, base * (1.0 + gamma * iteration) ** -power)


def _psi(cosine: Symbol, m: int) -> Symbol:
    """ψ(θ) as a function of cos θ; θ passes i·π/m where the cosine falls below cos(i·π/m)."""
    before, chebyshev = None, cosine  # T_0 = 1, T_1 = c
    for _ in range(m - 1):  # T_(i+1) = 2c·T_i − T_(i−1)
        doubled = 2.0 * cosine * chebyshev
        before, chebyshev = chebyshev, doubled - (1.0 if before is None else before)
    if m == 1:
        return chebyshev
    k = cosine < math.cos(math.pi / m)
    for i in range(2, m):
        k = k + (cosine < math.cos(i * math.pi / m))
    return (1.0 - 2.0 * (k % 2)) * chebyshev - 2.0 * k
