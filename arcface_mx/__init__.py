"""ArcFace (Deng et al., CVPR 2019) on MXNet: symbols, trainer, verification, recipes.

    import arcface_mx as am

    am.train(data="faces", run="runs/first", steps=1000)  # train, and write a run folder
    model = am.load("runs/first")                         # embed aligned crops: model.embed(images)
    am.Faces(model).get("photo.jpg")                      # detect, align and embed
    am.verify(model, "lfw.bin")                           # accuracy and rates on pairs

These names are imported when they are first used, so that `import arcface_mx` does not import MXNet.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, List

from arcface_mx.util.environment import prepare_process

if TYPE_CHECKING:
    from arcface_mx.faces.detect import DetectedFace, Faces
    from arcface_mx.model.api import load
    from arcface_mx.train.api import StepReport, TrainResult, train
    from arcface_mx.verify.api import verify

prepare_process()

__version__ = "0.2.0"
__all__ = ["DetectedFace", "Faces", "StepReport", "TrainResult", "load", "train", "verify"]

_MODULES = {
    "DetectedFace": "arcface_mx.faces.detect",
    "Faces": "arcface_mx.faces.detect",
    "StepReport": "arcface_mx.train.api",
    "TrainResult": "arcface_mx.train.api",
    "load": "arcface_mx.model.api",
}


def __getattr__(name: str) -> object:
    if name in ("train", "verify"):  # packages that can be called
        return importlib.import_module(f"arcface_mx.{name}")
    if name in _MODULES:
        return getattr(importlib.import_module(_MODULES[name]), name)
    raise AttributeError(f"module 'arcface_mx' has no attribute {name!r}")


def __dir__() -> List[str]:
    return sorted({*globals(), *__all__})
