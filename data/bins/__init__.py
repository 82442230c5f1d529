"""Verification sets in InsightFace's `.bin` layout: reading them safely and writing them."""

from arcface_mx.data.bins.read import PairSet, read_pairs
from arcface_mx.data.bins.write import write_pairs

__all__ = ["PairSet", "read_pairs", "write_pairs"]
