"""The contrastive loss on pairs of a batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from arcface_mx.losses.base import Loss, LossGraph, LossInputs
from arcface_mx.util.settings import setting


@dataclass(frozen=True)
class Contrastive(Loss):
    """Contrastive loss on distances of unit embeddings."""

    name: ClassVar[str] = "contrastive"
    summary: ClassVar[str] = "contrastive loss on pairs"

    positive_margin: float = setting(0.0, "pairs of one identity nearer than this distance cost nothing", 0.0, 2.0)
    negative_margin: float = setting(1.0, "pairs of two identities farther than this distance cost nothing", 1e-6, 2.0)
    mining: str = setting("all", "which pairs of a batch count", choices=("all", "batch_hard"), common=True)

    def build(self, inputs: LossInputs) -> LossGraph:
        from arcface_mx import symbols

        term = symbols.contrastive_loss(
            inputs.embedding,
            inputs.label,
            positive_margin=self.positive_margin,
            negative_margin=self.negative_margin,
            mining=self.mining,
        )
        return LossGraph({"contrastive": (1.0, term)})
