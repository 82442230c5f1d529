"""MXNet's and the C library's own settings: does one of them make a training step faster?"""

from __future__ import annotations

from typing import Any, Dict, List

from arcface_mx.bench import network
from arcface_mx.bench.race import Contestant, race
from arcface_mx.bench.timing import Timing

# what it is: environment
SETTINGS: Dict[str, Dict[str, str]] = {
    "arcface-mx": {},
    "operators in bulks of 60, not 15": {"MXNET_EXEC_BULK_EXEC_MAX_NODE_TRAIN": "60"},
    "operators one by one": {"MXNET_EXEC_BULK_EXEC_TRAIN": "0"},
    "gradients added in place": {"MXNET_EXEC_ENABLE_ADDTO": "1"},
    "oneDNN's graph pass": {"MXNET_SUBGRAPH_BACKEND": "MKLDNN"},
    "45 weights an update, not 4": {"MXNET_OPTIMIZER_AGGREGATION_SIZE": "45"},
    "no engine threads": {"MXNET_ENGINE_TYPE": "NaiveEngine"},
    "large pages": {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"},
}


def measure(name: str, repetitions: int) -> List[Timing]:
    """Images a second of the trainer's step under each setting; baseline: as the trainer runs. Each takes a step's whole memory."""
    kind, width, side, size, batch, classes = network.NETWORKS[name]
    shape: Dict[str, Any] = {
        "network": kind,
        "width": width,
        "side": side,
        "size": size,
        "batch": batch,
        "classes": classes,
    }
    shape.update(training=True, tuned=True)
    work = 3 * network.gflop(kind, width, side, size)
    entries = [
        Contestant(what, "arcface_mx.bench.network", shape, environment, gflop=work)
        for what, environment in SETTINGS.items()
    ]
    return race(entries, repetitions)
