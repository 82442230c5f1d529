"""Arrays that are split by class over devices, as one array on the CPU and back.

A checkpoint therefore fits any number of devices and processes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Dict, Iterator, List, Optional, Sequence, Tuple

import mxnet as mx

from arcface_mx.parallel.communicator import Communicator
from arcface_mx.parallel.shard import Shard
from arcface_mx.parallel.split import class_ranges, row_ranges

if TYPE_CHECKING:
    from mxnet.ndarray import NDArray

BLOCK = 1 << 24  # largest number of values that are exchanged at a time


def whole_shapes(shards: Sequence[Shard], classes: int) -> Dict[str, Tuple[int, ...]]:
    """Return the shape of each parameter of the classifier over all classes."""
    return {
        name: (classes * shards[0].rows_a_class[name],) + array.shape[1:]
        for name, array in shards[0].parameters.items()
    }


def split_by_shard(shards: Sequence[Shard], name: str, whole: NDArray) -> List[NDArray]:
    """Return the rows of each device of this process, as views of `whole`."""
    return [whole[first:last] for first, last in _ranges(shards, name)]


def assemble(
    communicator: Communicator, shards: Sequence[Shard], name: str, parts: Sequence[NDArray], classes: int
) -> Optional[NDArray]:
    """Return one array on the CPU from all devices' parts of a parameter or of its momentum.

    Collective call: all processes must make it. Rank 0 receives the full array; the other ranks
    receive None. Peak extra memory is one block of rows.
    """
    shape, bounds = whole_shapes(shards, classes)[name], _ranges(shards, name)
    if communicator.size == 1:
        return _fill(mx.nd.empty(shape), parts, bounds, 0)
    first = bounds[0][0]
    local = _fill(mx.nd.empty((bounds[-1][1] - first,) + shape[1:]), parts, bounds, first)
    whole = mx.nd.empty(shape) if communicator.rank == 0 else None
    ranges = row_ranges(class_ranges(classes, len(shards) * communicator.size), shards[0].rows_a_class[name])
    for root in range(communicator.size):
        held = ranges[root * len(shards) :][: len(shards)]
        for start, end in blocks(held[0][0], held[-1][1], local[0].size):
            sends = root == communicator.rank
            block = local[start - first : end - first] if sends else mx.nd.empty((end - start,) + shape[1:])
            block = communicator.broadcast(root, "rows of " + name, block)
            if whole is not None:
                block.copyto(whole[start:end])
    return whole


def blocks(first: int, last: int, row_size: int, limit: int = BLOCK) -> Iterator[Tuple[int, int]]:
    """Yield (start, end) of blocks of rows that cover first to last − 1, each of at most `limit` values."""
    step = max(1, limit // row_size)
    for start in range(first, last, step):
        yield start, min(last, start + step)


def _fill(array: NDArray, parts: Sequence[NDArray], bounds: Sequence[Tuple[int, int]], first: int) -> NDArray:
    for part, (start, end) in zip(parts, bounds):
        part.copyto(array[start - first : end - first])
    return array


def _ranges(shards: Sequence[Shard], name: str) -> List[Tuple[int, int]]:
    return row_ranges([shard.held for shard in shards], shards[0].rows_a_class[name])
