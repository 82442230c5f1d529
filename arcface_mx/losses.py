"""The one table of losses: name → how its graph is built and what it needs.

A loss is per-sample vectors (N,) added with weights; the trainer divides by N and knows no loss
by name. To add one: a builder in symbols/, an entry here, a recipe, a line in the tests' list.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, Mapping, Optional, Tuple

from arcface_mx.config import LossConfig
from arcface_mx.errors import UserError

Symbol = Any
# (embedding (N, d), label (N,), num_classes, config, scheduled scalars (N,) by name) → LossGraph
Builder = Callable[[Symbol, Symbol, int, LossConfig, Mapping[str, Symbol]], "LossGraph"]


@dataclass(frozen=True)
class LossGraph:
    """Terms to minimise and what the log shows of them.

    terms: {name: (weight, per-sample Symbol (N,))}.
    cosine: (N, n) cosines or logits, for accuracy without margin; target_cosine: (N,).
    """

    terms: Dict[str, Tuple[float, Symbol]]
    cosine: Optional[Symbol] = None
    target_cosine: Optional[Symbol] = None


@dataclass(frozen=True)
class Loss:
    """One entry of the table."""

    build: Builder
    needs: str = "classes"  # class centres, or "tuples" of several photos a person
    scheduled: Tuple[str, ...] = ()  # names of scalars that change during training
    margin_term: Callable[[LossConfig], float] = field(default=lambda config: 0.0)
    last_angle: Callable[[LossConfig], float] = field(default=lambda config: math.pi)  # where the margin's policy starts
    scaled: bool = True  # logits are s·cosine


def _margin(embedding: Symbol, label: Symbol, n: int, config: LossConfig, scheduled: Mapping[str, Symbol]) -> LossGraph:
    from arcface_mx import symbols

    logits = symbols.margin_logits(
        embedding,
        label,
        n,
        scale=config.scale,
        m1=config.m1,
        m2=config.m2,
        m3=config.m3,
        policy=config.policy,
        literal=config.literal,
        ramp=scheduled.get("margin_ramp"),
    )
    nodes = logits.get_internals()
    return _classes(logits, label, nodes["cosine_output"], nodes["target_cosine_output"])


def _softmax(embedding: Symbol, label: Symbol, n: int, config: LossConfig, scheduled: Mapping[str, Symbol]) -> LossGraph:
    import mxnet as mx

    from arcface_mx import symbols

    weight = mx.sym.Variable("fc7_weight", init=mx.init.Normal(0.01))
    logits = symbols.softmax_logits(embedding, n, weight=weight)
    own_centre = mx.sym.L2Normalization(mx.sym.take(mx.sym.BlockGrad(weight), label, mode="clip"), mode="instance")
    unit = mx.sym.L2Normalization(mx.sym.BlockGrad(embedding), mode="instance")
    return _classes(logits, label, logits, mx.sym.sum(own_centre * unit, axis=1))


def _norm_softmax(embedding: Symbol, label: Symbol, n: int, config: LossConfig, scheduled: Mapping[str, Symbol]) -> LossGraph:
    import mxnet as mx

    from arcface_mx import symbols

    logits = symbols.norm_softmax_logits(embedding, n, scale=config.scale)
    cosine = logits.get_internals()["cosine_output"]
    return _classes(logits, label, cosine, mx.sym.pick(cosine, label, axis=1))


def _classes(logits: Symbol, label: Symbol, cosine: Symbol, target_cosine: Symbol) -> LossGraph:
    from arcface_mx import symbols

    return LossGraph({"cross_entropy": (1.0, symbols.cross_entropy(logits, label))}, cosine, target_cosine)


def _margin_at_right_angle(config: LossConfig) -> float:
    # Before training every angle is near 90°, where eq. 4 lowers the target's cosine by this much.
    return config.m3 - math.cos(config.m1 * math.pi / 2 + config.m2)


LOSSES: Dict[str, Loss] = {
    "margin": Loss(
        _margin,
        scheduled=("margin_ramp",),
        margin_term=_margin_at_right_angle,
        last_angle=lambda config: (math.pi - config.m2) / config.m1,
    ),
    "softmax": Loss(_softmax, scaled=False),
    "norm_softmax": Loss(_norm_softmax),
}


def find(name: str) -> Loss:
    """The table's entry; raises UserError with the known names."""
    if name not in LOSSES:
        raise UserError("--loss %s: unknown; choose one of %s" % (name, ", ".join(LOSSES)))
    return LOSSES[name]


def expected_first_loss(config: LossConfig, num_classes: int, embedding_size: int) -> float:
    """Cross-entropy before the first update: ln n + (margin term)·s + s²/(2d), random unit vectors in d.

    For softmax with bias, whose logits start near 0, ln n.
    """
    loss = find(config.loss)
    if not loss.scaled:
        return math.log(num_classes)
    term = 0.0 if config.margin_ramp else loss.margin_term(config)
    return math.log(num_classes) + term * config.scale + config.scale**2 / (2 * embedding_size)


def scale_floor(num_classes: int) -> float:
    """The smallest sensible scale for n classes, AdaCos' √2·ln(n − 1)."""
    return math.sqrt(2.0) * math.log(max(2, num_classes - 1))
