"""Arrays split by class over devices, as one array on the CPU and back: checkpoints fit any number of devices and processes."""

from __future__ import annotations

from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple

import mxnet as mx

from arcface_mx.parallel.communicator import Communicator
from arcface_mx.parallel.shard import Shard
from arcface_mx.parallel.split import class_ranges, row_ranges

NDArray = Any


def whole_shapes(shards: Sequence[Shard], classes: int) -> Dict[str, Tuple[int, ...]]:
    """Shape over all `classes` of each parameter of the classifier."""
    shapes = {}
    for name, array in shards[0].parameters.items():
        shapes[name] = (classes * shards[0].rows_a_class[name],) + array.shape[1:]
    return shapes


def parts_of(shards: Sequence[Shard], name: str, whole: NDArray) -> List[NDArray]:
    """The rows of each device of this process, views of `whole`."""
    return [whole[first:last] for first, last in _ranges(shards, name)]


def collected(
    communicator: Communicator, shards: Sequence[Shard], name: str, parts: Sequence[NDArray], classes: int
) -> Optional[NDArray]:
    """One array on the CPU from all devices' parts of parameter `name`, or of its momentum.

    With several processes all must call it; rank 0 gets the array, the others None, and no process holds
    more of what is another's than a block of rows.
    """
    shape, bounds = whole_shapes(shards, classes)[name], _ranges(shards, name)
    if communicator.size == 1:
        return _filled(mx.nd.empty(shape), parts, bounds, 0)
    first = bounds[0][0]
    own = _filled(mx.nd.empty((bounds[-1][1] - first,) + shape[1:]), parts, bounds, first)
    whole = mx.nd.empty(shape) if communicator.rank == 0 else None
    everywhere = row_ranges(class_ranges(classes, len(shards) * communicator.size), shards[0].rows_a_class[name])
    for root in range(communicator.size):
        held = everywhere[root * len(shards) :][: len(shards)]
        for start, end in blocks(held[0][0], held[-1][1], own[0].size):
            block = (
                own[start - first : end - first]
                if root == communicator.rank
                else mx.nd.empty((end - start,) + shape[1:])
            )
            block = communicator.broadcast(root, "rows of " + name, block)
            if whole is not None:
                block.copyto(whole[start:end])
    return whole


def blocks(first: int, last: int, row: int, most: int = 1 << 24) -> Iterator[Tuple[int, int]]:
    """(start, end) of blocks of rows that cover first…last − 1, each of at most `most` numbers; row: numbers in one."""
    step = max(1, most // row)
    for start in range(first, last, step):
        yield start, min(last, start + step)


def _filled(array: NDArray, parts: Sequence[NDArray], bounds: Sequence[Tuple[int, int]], first: int) -> NDArray:
    for part, (start, end) in zip(parts, bounds):
        part.copyto(array[start - first : end - first])
    return array


def _ranges(shards: Sequence[Shard], name: str) -> List[Tuple[int, int]]:
    return row_ranges([shard.held for shard in shards], shards[0].rows_a_class[name])
