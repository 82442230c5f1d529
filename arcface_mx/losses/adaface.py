"""AdaFace (Kim, Jain and Liu, CVPR 2022): the margin follows the norm of the embedding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from arcface_mx.losses.base import (
    LossGraph,
    LossInputs,
    LossWithTerms,
    ScaledMargin,
    cross_entropy_graph,
)
from arcface_mx.losses.first_loss import first_cross_entropy
from arcface_mx.util.settings import setting


@dataclass(frozen=True)
class AdaFace(ScaledMargin, LossWithTerms):
    """AdaFace. See `symbols/adaface.py` for the graph."""

    name: ClassVar[str] = "adaface"
    summary: ClassVar[str] = "margin that follows the norm of the embedding, a measure of image quality"

    m: float = setting(0.4, "margin, radians and cosine alike", 0.0, 1.57)
    h: float = setting(0.333, "1/h standard deviations of the norm give the largest margin", 1e-6, 10.0)

    def head_graph(self, inputs: LossInputs) -> LossGraph:
        from arcface_mx import symbols

        centres = symbols.class_centres(inputs.embedding, inputs.num_classes)
        logits = symbols.adaface_logits(
            inputs.embedding,
            inputs.label,
            inputs.num_classes,
            scale=self.scale,
            m=self.m,
            h=self.h,
            weight=centres,
            ramp=inputs.scalars.get("margin_ramp"),
        )
        return cross_entropy_graph(logits, inputs.label, centres)

    def first_head_loss(self, num_classes: int, embedding_size: int) -> float:
        m = self.margin_at_start(self.m)  # of an embedding of mean length
        return first_cross_entropy(num_classes, embedding_size, self.scale, lambda cosine: cosine - m)
