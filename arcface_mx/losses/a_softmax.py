"""A-Softmax, the loss of SphereFace's own paper (Liu et al., CVPR 2017), with its annealing."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Dict, Tuple

from arcface_mx.losses.base import LossGraph, LossInputs, LossWithTerms, cross_entropy_graph
from arcface_mx.losses.first_loss import first_cross_entropy
from arcface_mx.util.errors import UserError
from arcface_mx.util.settings import setting


@dataclass(frozen=True)
class ASoftmax(LossWithTerms):
    """A-Softmax. λ is max(lambda_min, lambda_base·(1 + lambda_gamma·step)^(−lambda_power)).

    With `lambda_ramp` the gamma is the one by which λ reaches `lambda_min` after this share of the run.
    """

    name: ClassVar[str] = "a_softmax"
    summary: ClassVar[str] = "SphereFace as its own paper defines it, with annealing"

    m: int = setting(4, "whole number by which the angle is multiplied", 1, 16)
    lambda_base: float = setting(1000.0, "annealing: lambda at the first step", 0.0, 1e9, common=True)
    lambda_gamma: float = setting(0.12, "annealing: gamma", 0.0, 1e3, common=True)
    lambda_power: float = setting(1.0, "annealing: power", 0.0, 10.0, common=True)
    lambda_min: float = setting(5.0, "annealing: smallest lambda", 0.0, 1e9, common=True)

    lambda_ramp: float = setting(
        0.0, "annealing: share of the run after which lambda is lambda_min (0: as gamma says)", 0.0, 1.0, common=True
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.lambda_ramp and not (self.lambda_min and self.lambda_power):
            raise UserError("`lambda_ramp` needs `lambda_min` and `lambda_power` above 0: otherwise lambda never ends")

    def head_graph(self, inputs: LossInputs) -> LossGraph:
        from arcface_mx import symbols

        centres = symbols.class_centres(inputs.embedding, inputs.num_classes)
        logits = symbols.a_softmax_logits(
            inputs.embedding, inputs.label, inputs.num_classes, self.m, inputs.scalars["lambda"], weight=centres
        )
        return cross_entropy_graph(logits, inputs.label, centres)

    @property
    def scheduled_names(self) -> Tuple[str, ...]:
        return ("lambda",)

    def scheduled(self, step: int, steps: int, factor: float = 1.0) -> Dict[str, float]:
        from arcface_mx.symbols import annealed_lambda

        base, gamma, power, minimum = self.lambda_base, self.lambda_gamma, self.lambda_power, self.lambda_min
        if not self.lambda_ramp:
            return {"lambda": annealed_lambda(step * factor, base, gamma, power, minimum)}
        last = round(self.lambda_ramp * steps)
        if step >= last:
            return {"lambda": minimum}
        gamma = ((max(base, minimum) / minimum) ** (1.0 / power) - 1.0) / last
        return {"lambda": annealed_lambda(step, base, gamma, power, minimum)}

    def first_head_loss(self, num_classes: int, embedding_size: int) -> float:
        # BatchNorm gives embeddings the length √d, and a λ of 1000 hides the margin.
        return first_cross_entropy(num_classes, embedding_size, math.sqrt(embedding_size))
