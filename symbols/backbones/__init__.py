"""Backbones: pixels in, an embedding out."""

from arcface_mx.symbols.backbones.by_name import backbone, backbone_names
from arcface_mx.symbols.backbones.gluoncv_zoo import model_zoo, model_zoo_names
from arcface_mx.symbols.backbones.iresnet import iresnet
from arcface_mx.symbols.backbones.mobilefacenet import mobilefacenet
from arcface_mx.symbols.backbones.prelu import prelu

__all__ = ["backbone", "backbone_names", "iresnet", "mobilefacenet", "model_zoo", "model_zoo_names", "prelu"]
