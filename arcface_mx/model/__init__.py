"""Embedding networks: read and write them in MXNet's format, and run them over images."""

from arcface_mx.model.embedder import Embedder
from arcface_mx.model.fold import fold_batchnorm
from arcface_mx.model.load import load_model
from arcface_mx.model.save import save_model

__all__ = ["Embedder", "fold_batchnorm", "load_model", "save_model"]
