"""Rendered faces: identities and images from CC0 morph targets, for training and verification."""

from arcface_mx.data.rendered.dataset import render_dataset
from arcface_mx.data.rendered.options import RenderOptions

__all__ = ["RenderOptions", "render_dataset"]
