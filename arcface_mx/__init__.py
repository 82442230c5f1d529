"""ArcFace (Deng et al., CVPR 2019) on MXNet: symbols, trainer, verification, recipes."""

from arcface_mx.util import environment as platform

platform.prepare()

__version__ = "0.2.0"
