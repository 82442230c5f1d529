"""Training batches: samplers, decoding, augmentation and mining."""

from arcface_mx.reader.augment import Augmentation
from arcface_mx.reader.record_reader import Batch, RecordReader
from arcface_mx.reader.samplers import PKSampler, RandomSampler, Sampler

__all__ = ["Augmentation", "Batch", "PKSampler", "RandomSampler", "RecordReader", "Sampler"]
