"""ArcFace (Deng et al., CVPR 2019) on MXNet: symbols, trainer, verification, recipes."""

from arcface_mx.util.environment import prepare_process

prepare_process()

__version__ = "0.2.0"
