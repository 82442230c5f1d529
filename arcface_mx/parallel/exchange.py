"""Collective operations between the devices of one process: copies through MXNet's engine, which do not wait."""

from __future__ import annotations

from typing import TYPE_CHECKING, List, Sequence

import mxnet as mx

if TYPE_CHECKING:
    from mxnet.context import Context
    from mxnet.ndarray import NDArray


def all_gather(parts: Sequence[NDArray], rows: Sequence[slice], totals: Sequence[NDArray]) -> None:
    """Copy part p to rows[p] of every array in `totals`."""
    for array in totals:
        for part, place in zip(parts, rows):
            part.copyto(array[place])


def reduce_scatter(arrays: Sequence[NDArray], rows: Sequence[slice], contexts: Sequence[Context]) -> List[NDArray]:
    """Return, on each device p, rows[p] of the sum over `arrays`."""
    return [reduce([array[place].as_in_context(context) for array in arrays]) for context, place in zip(contexts, rows)]


def reduce(parts: Sequence[NDArray]) -> NDArray:
    """Return the sum of arrays, on the first one's device; the sum of one array is that array itself."""
    local = [part.as_in_context(parts[0].context) for part in parts]
    return mx.nd.add_n(*local) if len(local) > 1 else local[0]


def all_reduce(parts: Sequence[NDArray], totals: Sequence[NDArray]) -> None:
    """Write the sum of `parts` to every array in `totals`. The first device adds."""
    total = reduce(parts)
    for array in totals:
        total.copyto(array)
