"""A-Softmax, the loss of SphereFace (Liu et al., 2017), with its annealing.

Centres have length 1, there is no bias, and features are NOT normalised: the logit for class j is
‖x_i‖·cos θ_j, and for the sample's own class

    ‖x_i‖·(λ·cos θ + ψ(θ)) / (1 + λ),   ψ(θ) = (−1)^k·cos(m·θ) − 2k for θ in [kπ/m, (k+1)π/m]

with k = 0…m−1. ψ is continuous and falls all the way from 1 at θ = 0 to 1 − 2m at θ = π.
"""

from __future__ import annotations

import math
from typing import Optional

import mxnet as mx
from mxnet.symbol import Symbol

from arcface_mx.symbols.centres import class_centres
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
    """Logits (N, num_classes) from `embedding` (N, d) and `label` (N,).

    m       a whole number, at least 1; m = 1 is softmax over normalised centres.
    lam     λ, (N,), at least 0, the same number for every sample, fed by the trainer so that it
            can fall (`annealed_lambda`); None is λ = 0.
    weight  centres (num_classes, d); by default a new Variable "fc7_weight" (`class_centres`).
    dtype   of the embedding, float32 or float64.

    cos(mθ) is the Chebyshev polynomial of cos θ, so there is no arccos, and the gradient is true
    and finite everywhere, at θ = 0 and π too. ‖x‖ is sqrt(sum x² + 1e-10), as in L2Normalization,
    and 1e-5 for a zero embedding. Node "plain_logits" (N, n): ‖x‖·cos θ_j.
    Raises ValueError, naming the argument.
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
    one_hot = mx.sym.one_hot(label, depth=num_classes, dtype=dtype)
    return plain + mx.sym.broadcast_mul(one_hot, mx.sym.expand_dims(norm * target - original, axis=1))


def annealed_lambda(
    iteration: float, base: float = 1000.0, gamma: float = 0.12, power: float = 1.0, minimum: float = 5.0
) -> float:
    """λ of SphereFace's schedule: max(minimum, base·(1 + gamma·iteration)^(−power))."""
    return max(minimum, base * (1.0 + gamma * iteration) ** -power)


def _psi(cosine: Symbol, m: int) -> Symbol:
    """(−1)^k·cos(mθ) − 2k as a function of cos θ; θ passes iπ/m where the cosine falls below cos(iπ/m)."""
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
