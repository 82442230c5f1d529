"""Sub-centre ArcFace (Deng et al., ECCV 2020): several centres a class, of which the nearest counts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from arcface_mx.losses.base import (
    ClassificationLoss,
    LossGraph,
    LossInputs,
    ScaledMargin,
    cross_entropy_graph,
)
from arcface_mx.losses.first_loss import first_cross_entropy
from arcface_mx.util.settings import setting


@dataclass(frozen=True)
class SubCentreArcFace(ScaledMargin, ClassificationLoss):
    """Sub-centre ArcFace. See `symbols/sub_centre.py` for the graph."""

    name: ClassVar[str] = "sub_centre"
    summary: ClassVar[str] = "ArcFace with several centres a class"

    m: float = setting(0.5, "margin added to the angle, radians", 0.0, 3.1416)
    sub_centres: int = setting(3, "number of centres a class", 1, 64)

    @property
    def centres_per_class(self) -> int:  # type: ignore[override]
        return self.sub_centres

    def head_graph(self, inputs: LossInputs) -> LossGraph:
        from arcface_mx import symbols

        logits = symbols.sub_centre_logits(
            inputs.embedding,
            inputs.label,
            inputs.num_classes,
            sub_centres=self.sub_centres,
            scale=self.scale,
            m=self.m,
            ramp=inputs.scalars.get("margin_ramp"),
        )
        return cross_entropy_graph(logits, inputs.label, None)

    @property
    def last_angle(self) -> float:
        return math.pi - self.m

    def first_head_loss(self, num_classes: int, embedding_size: int) -> float:
        m = self.margin_at_start(self.m)
        return first_cross_entropy(
            num_classes, embedding_size, self.scale, lambda cosine: np.cos(np.arccos(cosine) + m), self.sub_centres
        )
