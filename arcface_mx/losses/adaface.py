"""AdaFace (Kim, Jain and Liu, CVPR 2022): the margin follows the norm of the embedding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Optional

from arcface_mx.losses.base import (
    LossGraph,
    LossInputs,
    LossWithTerms,
    ScaledMargin,
    cross_entropy_graph,
)
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

    def expected_first_loss(self, num_classes: int, embedding_size: int) -> Optional[float]:
        return self.first_cross_entropy(self.m, num_classes, embedding_size)
