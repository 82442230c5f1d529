"""Arrays split by class over devices, as one array on the CPU and back: checkpoints fit any number of devices."""

from __future__ import annotations

from typing import Any, Dict, List, Sequence, Tuple

import mxnet as mx

from arcface_mx.parallel.shard import Shard
from arcface_mx.parallel.split import row_ranges

NDArray = Any


def whole_shapes(shards: Sequence[Shard]) -> Dict[str, Tuple[int, ...]]:
    """Shape over all classes of each parameter of the classifier."""
    classes = shards[-1].held[1]
    shapes = {}
    for name, array in shards[0].parameters.items():
        shapes[name] = (classes * shards[0].rows_a_class[name],) + array.shape[1:]
    return shapes


def parts_of(shards: Sequence[Shard], name: str, whole: NDArray) -> List[NDArray]:
    """The rows of each device, views of `whole`."""
    return [whole[first:last] for first, last in _ranges(shards, name)]


def joined(shards: Sequence[Shard], name: str, parts: Sequence[NDArray]) -> NDArray:
    """One array on the CPU from the devices' parts of parameter `name`, or of its momentum."""
    array = mx.nd.empty(whole_shapes(shards)[name])
    for part, (first, last) in zip(parts, _ranges(shards, name)):
        part.copyto(array[first:last])
    return array


def _ranges(shards: Sequence[Shard], name: str) -> List[Tuple[int, int]]:
    return row_ranges([shard.held for shard in shards], shards[0].rows_a_class[name])
