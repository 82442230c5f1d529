"""Face sets in InsightFace's RecordIO layout: writing, scanning and indexing them."""

from arcface_mx.data.recordio.index import RecordIndex
from arcface_mx.data.recordio.problems import Problem
from arcface_mx.data.recordio.writer import RecordWriter

__all__ = ["Problem", "RecordIndex", "RecordWriter"]
