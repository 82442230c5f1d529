"""Learning rate and scheduled scalars as pure functions of the step, so that resume is exact."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Dict, Tuple

from arcface_mx.config import LossConfig, TrainConfig


@dataclass(frozen=True)
class Schedule:
    """The run's clock. All lengths are in updates of `images_a_step` images."""

    steps: int
    lr: float
    drops: Tuple[int, ...]
    warmup: int
    cosine: bool
    ramp: int
    images_a_step: int
    factor: float  # images_a_step / --schedule-batch
    loss: LossConfig

    @classmethod
    def of(cls, config: TrainConfig) -> Schedule:
        """Steps and learning rate for this batch: lengths are kept in images, lr grows with the batch."""
        optimizer = config.optimizer
        images = config.data.batch_size * optimizer.accumulate
        factor = images / optimizer.schedule_batch if optimizer.schedule_batch else 1.0
        steps = max(1, round(optimizer.steps / factor))
        return cls(
            steps=steps,
            lr=optimizer.lr * factor,
            drops=tuple(max(1, round(drop / factor)) for drop in optimizer.lr_drops),
            warmup=round(optimizer.warmup_steps / factor),
            cosine=optimizer.lr_schedule == "cosine",
            ramp=round(config.loss.margin_ramp * steps),
            images_a_step=images,
            factor=factor,
            loss=config.loss,
        )

    def lr_at(self, step: int) -> float:
        """Learning rate of update `step` (0 is the first)."""
        warm = min(1.0, (step + 1) / (self.warmup + 1))
        if self.cosine:
            done = max(0, step - self.warmup) / max(1, self.steps - self.warmup)
            return self.lr * warm * 0.5 * (1.0 + math.cos(math.pi * min(1.0, done)))
        return self.lr * warm * 0.1 ** sum(step >= drop for drop in self.drops)

    def margin_ramp_at(self, step: int) -> float:
        """Share of the margins in force at update `step`: 0 to 1 over the first `ramp` updates."""
        return 1.0 if step >= self.ramp else step / self.ramp

    def lambda_at(self, step: int) -> float:
        """λ of A-Softmax at update `step`, counted as at --schedule-batch."""
        from arcface_mx.symbols import annealed_lambda

        loss, iteration = self.loss, step * self.factor
        return annealed_lambda(iteration, loss.lambda_base, loss.lambda_gamma, loss.lambda_power, loss.lambda_min)

    def scalars_at(self, step: int) -> Dict[str, float]:
        """The scheduled scalars, inputs of the graph, by name."""
        return {"margin_ramp": self.margin_ramp_at(step), "lambda": self.lambda_at(step)}

    def describe(self) -> str:
        """One line for the start of the run."""
        shape = "cosine to 0" if self.cosine else "divided by 10 at " + (", ".join(map(str, self.drops)) or "no step")
        scaled = "" if self.factor == 1.0 else f" (lr and steps scaled for batch ×{self.factor:g})"
        return (
            f"{self.steps} steps of {self.images_a_step} images, lr {self.lr:g}, {shape}, warm-up {self.warmup}{scaled}"
        )
