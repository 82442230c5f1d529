"""Where a training step's time goes: MXNet's own profiler, operator by operator."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import List, Sequence

from arcface_mx.bench import network

BULK = "MXNET_EXEC_BULK_EXEC_TRAIN"


@dataclass(frozen=True)
class Share:
    """One operator in one step: calls, milliseconds, share of all operators' time."""

    operator: str
    calls: float
    milliseconds: float
    share: float


def measure(name: str, steps: int) -> List[Share]:
    """Operators of the trainer's step, the longest first; means over `steps` steps after two warm-ups.

    Operators run one by one and not in bulk, which costs a little.
    """
    kind, width, side, size, batch, classes = network.NETWORKS[name]
    before = os.environ.get(BULK)
    os.environ[BULK] = "0"  # read when a graph is bound
    try:
        step = network.setup(kind, width, side, size, batch, classes, training=True, tuned=True)
    finally:
        os.environ.pop(BULK) if before is None else os.environ.update({BULK: before})
    from mxnet import profiler

    for _ in range(2):
        step()
    profiler.set_config(profile_symbolic=True, profile_imperative=True, aggregate_stats=True, filename=os.devnull)
    profiler.set_state("run")
    for _ in range(steps):
        step()
    profiler.set_state("stop")
    return shares(profiler.dumps(reset=True, format="json"), steps)


def shares(text: str, steps: int) -> List[Share]:
    """The profiler's JSON as shares of a step."""
    operators = json.loads(text)["Time"]["operator"]
    total = sum(entry["Total"] for entry in operators.values()) or 1.0
    found = [
        Share(operator, entry["Count"] / steps, entry["Total"] / steps, entry["Total"] / total)
        for operator, entry in operators.items()
    ]
    return sorted(found, key=lambda share: -share.milliseconds)


def lines(found: Sequence[Share]) -> List[str]:
    """A Markdown table of operators with at least half a percent."""
    rows = ["| operator | calls a step | ms a step | share |", "|---|---:|---:|---:|"]
    shown = [one for one in found if one.share >= 0.005]
    rest = 1.0 - sum(one.share for one in shown)
    rows += [
        f"| `{one.operator}` | {one.calls:.0f} | {one.milliseconds:.2f} | {100 * one.share:.1f} % |" for one in shown
    ]
    return rows + [f"| others | | | {100 * rest:.1f} % |"]
