"""The heads that `test_heads.py` runs over. A new head needs one entry here."""

from __future__ import annotations

from typing import Any, Callable, Dict, NamedTuple

import mxnet as mx
import numpy as np
from mxnet.symbol import Symbol

from arcface_mx.symbols import (
    a_softmax_logits,
    adaface_logits,
    margin_logits,
    norm_softmax_logits,
    softmax_logits,
    sub_centre_logits,
)
from arcface_mx.symbols.margin import CLIP
from tests.support import reference

SCALE = 16.0

MARGINS = {
    "arcface": (1.0, 0.5, 0.0),
    "cosface": (1.0, 0.0, 0.35),
    "sphereface_like": (1.35, 0.0, 0.0),
    "cm1": (1.0, 0.3, 0.2),
    "cm2": (0.9, 0.4, 0.15),
    "no_margin": (1.0, 0.0, 0.0),
}


class Head(NamedTuple):
    """A builder from (embedding, label, weight, n, dtype), and its expected values from (x, w, label)."""

    build: Callable[[Symbol, Symbol, Symbol, int, str], Symbol]
    reference: Callable[[np.ndarray, np.ndarray, Any], np.ndarray]
    safe: bool = True  # whether it is finite everywhere; only the literal graphs are not
    sees_norm: bool = True  # False if the value depends on ‖x‖ but sends no gradient for it


def margin_head(m1: float, m2: float, m3: float, policy: str = "none", literal: bool = False) -> Head:
    return Head(
        lambda x, label, w, n, dtype: margin_logits(
            x, label, n, scale=SCALE, m1=m1, m2=m2, m3=m3, policy=policy, literal=literal, weight=w, dtype=dtype
        ),
        lambda x, w, label: reference.margin_logits(
            x, w, label, scale=SCALE, m1=m1, m2=m2, m3=m3, policy=policy, clip=0.0 if literal else CLIP
        ),
        safe=not literal,
    )


def a_softmax_head(m: int, lam: float) -> Head:
    def build(x: Symbol, label: Symbol, w: Symbol, n: int, dtype: str) -> Symbol:
        same = mx.sym.ones_like(mx.sym.sum(x, axis=1)) * lam
        return a_softmax_logits(x, label, n, m, same, weight=w, dtype=dtype)

    return Head(build, lambda x, w, label: reference.a_softmax_logits(x, w, label, m, [lam] * len(label)))


def two_centres(x: Symbol, label: Symbol, w: Symbol, n: int, dtype: str) -> Symbol:
    # The second sub-centre of a class is the first one with its elements in reverse order.
    both = mx.sym.reshape(mx.sym.stack(w, mx.sym.flip(w, axis=1), axis=1), shape=(-3, 0))
    return sub_centre_logits(x, label, n, sub_centres=2, scale=SCALE, m=0.5, weight=both, dtype=dtype)


HEADS: Dict[str, Head] = {
    "sub_centre": Head(
        two_centres, lambda x, w, label: reference.sub_centre_logits(x, [w, w[:, ::-1]], label, SCALE, 0.5, CLIP)
    ),
    "adaface": Head(
        lambda x, label, w, n, dtype: adaface_logits(x, label, n, scale=SCALE, m=0.4, h=0.333, weight=w, dtype=dtype),
        lambda x, w, label: reference.adaface_logits(x, w, label, SCALE, 0.4, 0.333, CLIP),
        sees_norm=False,
    ),
    "softmax": Head(
        lambda x, label, w, n, dtype: softmax_logits(x, n, weight=w, bias=mx.sym.zeros((n,), dtype=dtype)),
        lambda x, w, label: reference.softmax_logits(x, w, np.zeros(len(w))),
    ),
    "norm_softmax": Head(
        lambda x, label, w, n, dtype: norm_softmax_logits(x, n, scale=SCALE, weight=w),
        lambda x, w, label: reference.norm_softmax_logits(x, w, SCALE),
    ),
}
for margin_name, margins in MARGINS.items():
    HEADS[margin_name] = margin_head(*margins)
    HEADS[margin_name + "_literal"] = margin_head(*margins, literal=True)
for margin_name in ("arcface", "sphereface_like", "cm2"):
    for margin_policy in ("linear", "easy_margin"):
        HEADS[margin_name + "_" + margin_policy] = margin_head(*MARGINS[margin_name], policy=margin_policy)
for m in (1, 2, 3, 4):
    HEADS[f"a_softmax_{m}"] = a_softmax_head(m, 0.0)
HEADS["a_softmax_4_annealed"] = a_softmax_head(4, 5.0)
