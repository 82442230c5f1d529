"""Classification without a margin: softmax, eq. 1, and Norm-Softmax, eq. 2."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from arcface_mx.losses.base import (
    SCALE_HELP,
    SCALE_RANGE,
    LossGraph,
    LossInputs,
    LossWithTerms,
    cross_entropy_graph,
    native_graph,
)
from arcface_mx.losses.first_loss import first_cross_entropy
from arcface_mx.losses.margin import head_setting
from arcface_mx.util.settings import setting


@dataclass(frozen=True)
class Softmax(LossWithTerms):
    """Softmax over W·x + b, eq. 1."""

    name: ClassVar[str] = "softmax"
    summary: ClassVar[str] = "softmax over inner products with a bias, eq. 1"

    def head_graph(self, inputs: LossInputs) -> LossGraph:
        from arcface_mx import symbols

        centres = symbols.class_centres(inputs.embedding, inputs.num_classes)
        logits = symbols.softmax_logits(inputs.embedding, inputs.num_classes, weight=centres)
        return cross_entropy_graph(logits, inputs.label, centres)

    def first_head_loss(self, num_classes: int, embedding_size: int) -> float:
        # BatchNorm gives embeddings the length √d, and centres start with length 1.
        return first_cross_entropy(num_classes, embedding_size, math.sqrt(embedding_size))


@dataclass(frozen=True)
class NormSoftmax(LossWithTerms):
    """Norm-Softmax (NS), eq. 2: logits s·cos θ."""

    name: ClassVar[str] = "norm_softmax"
    summary: ClassVar[str] = "softmax over scaled cosines, eq. 2: s*cos(theta)"
    has_native: ClassVar[bool] = True

    scale: float = setting(64.0, SCALE_HELP, *SCALE_RANGE, common=True)
    head: str = head_setting()

    def head_graph(self, inputs: LossInputs) -> LossGraph:
        from arcface_mx import symbols

        centres = symbols.class_centres(inputs.embedding, inputs.num_classes)
        if inputs.native:
            return native_graph(inputs, centres, scale=self.scale, m1=1.0, m2=0.0, m3=0.0)
        logits = symbols.norm_softmax_logits(inputs.embedding, inputs.num_classes, scale=self.scale, weight=centres)
        return cross_entropy_graph(logits, inputs.label, centres)

    def first_head_loss(self, num_classes: int, embedding_size: int) -> float:
        return first_cross_entropy(num_classes, embedding_size, self.scale)
