"""The learning rate and the clock of a run, as functions of the step, so that resume is exact."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Tuple

from arcface_mx.config import OptimizerConfig


@dataclass(frozen=True)
class Schedule:
    """The clock of a run. All lengths are in updates of `images_a_step` images.

    Attributes
    ----------
    steps : int
    lr : float
        First learning rate.
    drops : tuple of int
        Updates after which the learning rate is divided by 10.
    warmup : int
    cosine : bool
    images_a_step : int
    factor : float
        `images_a_step` divided by `schedule_batch`.
    """

    steps: int
    lr: float
    drops: Tuple[int, ...]
    warmup: int
    cosine: bool
    images_a_step: int
    factor: float

    @classmethod
    def of(cls, optimizer: OptimizerConfig, batch_size: int) -> Schedule:
        """Scale a schedule to the batch: lengths are kept in images, and the learning rate grows with the batch."""
        images = batch_size * optimizer.accumulate
        factor = images / optimizer.schedule_batch if optimizer.schedule_batch else 1.0
        return cls(
            steps=max(1, round(optimizer.steps / factor)),
            lr=optimizer.lr * factor,
            drops=tuple(max(1, round(drop / factor)) for drop in optimizer.lr_drops),
            warmup=round(optimizer.warmup_steps / factor),
            cosine=optimizer.lr_schedule == "cosine",
            images_a_step=images,
            factor=factor,
        )

    def lr_at(self, step: int) -> float:
        """Return the learning rate of update `step`; the first update is 0."""
        warm = min(1.0, (step + 1) / (self.warmup + 1))
        if self.cosine:
            done = max(0, step - self.warmup) / max(1, self.steps - self.warmup)
            return self.lr * warm * 0.5 * (1.0 + math.cos(math.pi * min(1.0, done)))
        return self.lr * warm * 0.1 ** sum(step >= drop for drop in self.drops)

    def describe(self) -> str:
        """Return one line for the start of the run."""
        shape = "cosine to 0" if self.cosine else "divided by 10 at " + (", ".join(map(str, self.drops)) or "no step")
        scaled = "" if self.factor == 1.0 else f" (lr and steps scaled for batch ×{self.factor:g})"
        return (
            f"{self.steps} steps of {self.images_a_step} images, lr {self.lr:g}, {shape}, warm-up {self.warmup}{scaled}"
        )
