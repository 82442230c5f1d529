"""The combined margin with softmax and cross entropy in one compiled operator.

The same function as `cross_entropy(margin_logits(…), label)`, gradients included, at about half of
the time and memory: `arcface_mx/native/margin_loss.cc` says how. CPU, float32.
"""

from __future__ import annotations

from typing import Dict, Optional

import mxnet as mx
from mxnet.symbol import Symbol

from arcface_mx.symbols.margin import check_margins


def margin_cross_entropy(
    embedding: Symbol,
    label: Symbol,
    num_classes: int,
    *,
    weight: Symbol,
    scale: float = 64.0,
    m1: float = 1.0,
    m2: float = 0.5,
    m3: float = 0.0,
    policy: str = "none",
    ramp: Optional[Symbol] = None,
) -> Dict[str, Symbol]:
    """−log softmax of `margin_logits` at the label, and what a trainer logs; each (N,).

    "cross_entropy", through which gradients pass to `embedding` (N, d) and `weight` (n, d);
    "target_cosine", cos θ_y; "correct", 1 where no cosine is larger than the label's. Arguments are
    `margin_logits`'. A label outside 0…n−1 is an MXNetError when the operator runs.
    Raises ValueError, naming the argument, and where the operator has not been loaded
    (`arcface_mx.native.library`).
    """
    check_margins(num_classes, scale, m1, m2, m3, policy)
    if not hasattr(mx.sym, "arcface_margin_loss"):
        raise ValueError("the operator arcface_margin_loss is not loaded; use margin_logits and cross_entropy")
    inputs = [embedding, label, weight] + ([] if ramp is None else [ramp])
    outputs = mx.sym.arcface_margin_loss(
        *inputs, num_classes=num_classes, scale=scale, m1=m1, m2=m2, m3=m3, policy=policy, ramp=int(ramp is not None)
    )
    return {
        "cross_entropy": outputs[0],
        "target_cosine": mx.sym.BlockGrad(outputs[1]),
        "correct": mx.sym.BlockGrad(outputs[2]),
    }
