"""Triplet losses: angular, as in the paper, and Euclidean, as in FaceNet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Tuple

from arcface_mx.losses.base import Loss, LossGraph, LossInputs, bag_setting, mining_setting
from arcface_mx.util.settings import setting


@dataclass(frozen=True)
class TripletLoss(Loss):
    """Base of the losses on triplets of a batch."""

    margin: float = setting(0.2, "margin", 1e-6, 4.0)
    mining: str = mining_setting()
    bag: int = bag_setting()

    @property
    def mining_rule(self) -> Tuple[str, float, str]:
        return self.distance, self.margin, self.mining


@dataclass(frozen=True)
class AngularTriplet(TripletLoss):
    """Angular triplet loss: hinge of θ(a, p) − θ(a, n) + margin."""

    name: ClassVar[str] = "triplet"
    summary: ClassVar[str] = "triplet loss on angles"
    distance: ClassVar[str] = "angle"

    margin: float = setting(0.35, "margin, radians", 1e-6, 4.0)

    def build(self, inputs: LossInputs) -> LossGraph:
        from arcface_mx import symbols

        term = symbols.angular_triplet_loss(inputs.embedding, inputs.label, margin=self.margin, mining=self.mining)
        return LossGraph({"triplet": (1.0, term)})


@dataclass(frozen=True)
class EuclideanTriplet(TripletLoss):
    """Triplet loss of FaceNet (Schroff et al., CVPR 2015): squared distances of unit embeddings."""

    name: ClassVar[str] = "euclidean_triplet"
    summary: ClassVar[str] = "triplet loss of FaceNet, on squared distances"
    distance: ClassVar[str] = "squared"

    margin: float = setting(0.2, "margin, squared distance", 1e-6, 4.0)

    def build(self, inputs: LossInputs) -> LossGraph:
        from arcface_mx import symbols

        term = symbols.euclidean_triplet_loss(inputs.embedding, inputs.label, margin=self.margin, mining=self.mining)
        return LossGraph({"euclidean_triplet": (1.0, term)})
