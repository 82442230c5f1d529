"""Embedding models: ours or anybody's in MXNet's format. `load_model` reads one, `Embedder` runs it."""

from arcface_mx.model.embedder import Embedder
from arcface_mx.model.load import load_model

__all__ = ["Embedder", "load_model"]
