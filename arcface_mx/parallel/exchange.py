"""What passes between the devices of one process: copies through MXNet's engine, nothing waits."""

from __future__ import annotations

from typing import Any, List, Sequence

import mxnet as mx

NDArray = Any


def all_gather(parts: Sequence[NDArray], places: Sequence[slice], whole: Sequence[NDArray]) -> None:
    """Copy part p to rows places[p] of every array in `whole`."""
    for array in whole:
        for part, place in zip(parts, places):
            part.copyto(array[place])


def reduce_scatter(whole: Sequence[NDArray], places: Sequence[slice], contexts: Sequence[Any]) -> List[NDArray]:
    """For each device the sum over `whole` of its rows places[p]."""
    sums = []
    for context, place in zip(contexts, places):
        parts = [array[place].as_in_context(context) for array in whole]
        sums.append(reduce_to_first(parts))
    return sums


def reduce_to_first(parts: Sequence[NDArray]) -> NDArray:
    """The sum of arrays, on the first one's device; of one array that array itself."""
    here = [part.as_in_context(parts[0].context) for part in parts]
    return mx.nd.add_n(*here) if len(here) > 1 else here[0]


def all_reduce(parts: Sequence[NDArray], totals: Sequence[NDArray]) -> None:
    """Write the sum of `parts` to every array in `totals`; added on the first device."""
    total = reduce_to_first(parts)
    for array in totals:
        total.copyto(array)
