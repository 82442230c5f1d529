"""The combined margin, eq. 4, and its special cases: ArcFace, CosFace, SphereFace, CM1 and CM2."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Tuple

import numpy as np

from arcface_mx.losses.base import (
    LossGraph,
    LossInputs,
    LossWithTerms,
    ScaledMargin,
    cross_entropy_graph,
    native_graph,
)
from arcface_mx.losses.first_loss import first_cross_entropy
from arcface_mx.util.settings import setting

HEADS = ("graph", "native", "auto")


def head_setting() -> str:
    """How the head is computed, for losses that have a compiled operator."""
    text = "graph: MXNet's own operators; native: one compiled operator (CPU, needs g++); auto: native if possible"
    return setting("graph", text, choices=HEADS, common=True)


@dataclass(frozen=True)
class MarginLoss(ScaledMargin, LossWithTerms):
    """Base of the losses with target logit s·(cos(m1·θ + m2) − m3).

    A subclass defines `margins`. See `symbols/margin.py` for the graph.
    """

    has_native: ClassVar[bool] = True

    policy: str = setting(
        "none", "what the target logit does where m1*theta + m2 > pi", choices=("none", "linear", "easy_margin")
    )
    literal: bool = setting(False, "use exactly the nine operators of Algorithm 1, which can give NaN", common=True)
    head: str = head_setting()

    @property
    @abstractmethod
    def margins(self) -> Tuple[float, float, float]:
        """m1, m2 (radians) and m3 of eq. 4."""

    def head_graph(self, inputs: LossInputs) -> LossGraph:
        from arcface_mx import symbols

        centres = symbols.class_centres(inputs.embedding, inputs.num_classes)
        m1, m2, m3 = self.margins
        ramp = inputs.scalars.get("margin_ramp")
        if inputs.native:
            return native_graph(inputs, centres, scale=self.scale, m1=m1, m2=m2, m3=m3, policy=self.policy, ramp=ramp)
        logits = symbols.margin_logits(
            inputs.embedding,
            inputs.label,
            inputs.num_classes,
            scale=self.scale,
            m1=m1,
            m2=m2,
            m3=m3,
            policy=self.policy,
            literal=self.literal,
            weight=centres,
            ramp=ramp,
        )
        return cross_entropy_graph(logits, inputs.label, centres)

    @property
    def last_angle(self) -> float:
        m1, m2, _ = self.margins
        return (math.pi - m2) / m1

    def first_head_loss(self, num_classes: int, embedding_size: int) -> float:
        m1, m2, m3 = self.margins
        m1, m2, m3 = 1.0 + self.margin_at_start(m1 - 1.0), self.margin_at_start(m2), self.margin_at_start(m3)
        return first_cross_entropy(
            num_classes, embedding_size, self.scale, lambda cosine: np.cos(m1 * np.arccos(cosine) + m2) - m3
        )


@dataclass(frozen=True)
class CombinedMargin(MarginLoss):
    """Combined margin with m1, m2 and m3 free."""

    name: ClassVar[str] = "combined"
    summary: ClassVar[str] = "combined margin, eq. 4: s(cos(m1*theta + m2) - m3)"

    m1: float = setting(1.0, "factor on the angle", 1e-3, 16.0)
    m2: float = setting(0.5, "added to the angle, radians", 0.0, 3.1416)
    m3: float = setting(0.0, "subtracted from the cosine", 0.0, 2.0)

    @property
    def margins(self) -> Tuple[float, float, float]:
        return self.m1, self.m2, self.m3


@dataclass(frozen=True)
class CM1(CombinedMargin):
    """The paper's combined margin CM1."""

    name: ClassVar[str] = "cm1"
    summary: ClassVar[str] = "combined margin (1, 0.3, 0.2)"

    m2: float = setting(0.3, "added to the angle, radians", 0.0, 3.1416)
    m3: float = setting(0.2, "subtracted from the cosine", 0.0, 2.0)


@dataclass(frozen=True)
class CM2(CombinedMargin):
    """The paper's combined margin CM2."""

    name: ClassVar[str] = "cm2"
    summary: ClassVar[str] = "combined margin (0.9, 0.4, 0.15)"

    m1: float = setting(0.9, "factor on the angle", 1e-3, 16.0)
    m2: float = setting(0.4, "added to the angle, radians", 0.0, 3.1416)
    m3: float = setting(0.15, "subtracted from the cosine", 0.0, 2.0)


@dataclass(frozen=True)
class ArcFace(MarginLoss):
    """ArcFace, eq. 3."""

    name: ClassVar[str] = "arcface"
    summary: ClassVar[str] = "additive angular margin, eq. 3: s*cos(theta + m)"

    m: float = setting(0.5, "margin added to the angle, radians", 0.0, 3.1416)

    @property
    def margins(self) -> Tuple[float, float, float]:
        return 1.0, self.m, 0.0


@dataclass(frozen=True)
class CosFace(MarginLoss):
    """CosFace (Wang et al., CVPR 2018)."""

    name: ClassVar[str] = "cosface"
    summary: ClassVar[str] = "additive cosine margin: s(cos(theta) - m)"

    m: float = setting(0.35, "margin subtracted from the cosine", 0.0, 2.0)

    @property
    def margins(self) -> Tuple[float, float, float]:
        return 1.0, 0.0, self.m


@dataclass(frozen=True)
class SphereFace(MarginLoss):
    """SphereFace's multiplicative margin with normalised features, as in the paper's table.

    SphereFace as its own paper defines it is `a_softmax`.
    """

    name: ClassVar[str] = "sphereface"
    summary: ClassVar[str] = "multiplicative angular margin: s*cos(m*theta); a_softmax is SphereFace's own paper"

    m: float = setting(1.35, "factor on the angle", 1e-3, 16.0)

    @property
    def margins(self) -> Tuple[float, float, float]:
        return self.m, 0.0, 0.0
