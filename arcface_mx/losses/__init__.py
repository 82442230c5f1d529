"""Losses as objects: one class a loss, whose fields are its settings.

To add a loss: a builder in `symbols/`, a class here and its entry in `LOSSES`, a recipe, and a line
in `tests/symbols/heads.py`.
"""

from __future__ import annotations

from typing import Dict, Type

from arcface_mx.losses.a_softmax import ASoftmax
from arcface_mx.losses.adaface import AdaFace
from arcface_mx.losses.base import Loss, LossGraph, LossInputs
from arcface_mx.losses.contrastive import Contrastive
from arcface_mx.losses.margin import CM1, CM2, ArcFace, CombinedMargin, CosFace, SphereFace
from arcface_mx.losses.softmax import NormSoftmax, Softmax
from arcface_mx.losses.sub_centre import SubCentreArcFace
from arcface_mx.losses.triplet import AngularTriplet, EuclideanTriplet
from arcface_mx.util.settings import document_settings

_CLASSES = (
    ArcFace,
    CosFace,
    SphereFace,
    CombinedMargin,
    CM1,
    CM2,
    Softmax,
    NormSoftmax,
    ASoftmax,
    SubCentreArcFace,
    AdaFace,
    AngularTriplet,
    EuclideanTriplet,
    Contrastive,
)
for _loss in _CLASSES:
    document_settings(_loss)
LOSSES: Dict[str, Type[Loss]] = {loss.name: loss for loss in _CLASSES}

__all__ = ["LOSSES", "Loss", "LossGraph", "LossInputs", *(loss.__name__ for loss in _CLASSES)]
