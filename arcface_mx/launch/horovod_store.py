"""Horovod as a key-value store of MXNet's Module: gradients are added over the processes by allreduce.

Horovod 0.28.1 is an optional part, which recipes/horovod.sh builds. Its processes are started by `arcface-mx launch --engine horovod`.
"""

from __future__ import annotations

import os
from typing import Any, List

import mxnet as mx

from arcface_mx.launch.rendezvous import BUILD, require_horovod
from arcface_mx.parallel.exchange import reduce
from arcface_mx.util.errors import UserError


def join() -> Any:
    """The module horovod.mxnet, joined with the other processes; blocks until all are there.

    Raises UserError where Horovod is missing, was built without MXNet, or no launcher started this process.
    """
    require_horovod()
    if "HOROVOD_RANK" not in os.environ:
        raise UserError(
            "--kvstore horovod adds over several workers; start them with: arcface-mx launch --engine horovod -n WORKERS -- train …"
        )
    try:
        import horovod.mxnet as hvd
    except ImportError as error:
        raise UserError(f"Horovod does not go with this MXNet ({str(error).splitlines()[0]}); {BUILD}")
    hvd.init()
    return hvd


class HorovodStore(mx.kv.KVStoreBase):
    """What Module and the trainer need of a store. No server: every process gets the sum of all."""

    def __init__(self, hvd: Any) -> None:
        self._hvd = hvd

    type, rank, num_workers = (
        "horovod",
        property(lambda self: self._hvd.rank()),
        property(lambda self: self._hvd.size()),
    )

    def is_capable(self, capability: str) -> bool:
        """It adds; every process updates its own copy of the weights."""
        return False

    def init(self, key: str, value: Any) -> None:
        """Module shows its first weights; all processes hold the same."""

    def broadcast(self, key: str, value: Any, out: Any, priority: int = 0) -> None:
        """Rank 0's value, written to `out`."""
        self._hvd.broadcast(value, 0, name="broadcast " + key, priority=priority).copyto(out)

    def pushpull(self, key: str, value: Any, out: Any = None, priority: int = 0) -> None:
        """The sum of the arrays over devices and processes, written to all of them, or to `out`."""
        arrays: List[Any] = value if isinstance(value, list) else [value]
        total = reduce(arrays)
        self._hvd.allreduce_(total, name="gradient " + key, op=self._hvd.Sum, priority=priority)
        for array in out or arrays:
            if array is not total:
                total.copyto(array)

    def any(self, flag: bool) -> bool:
        """Whether it is so in any process; all must ask."""
        found = self._hvd.allreduce(mx.nd.array([float(flag)]), name="any", op=self._hvd.Sum)
        return bool(found.asscalar() > 0)

    def leave(self) -> None:
        """Let go of the others. What cannot be done any more, where another one has ended, is forgotten."""
        try:
            mx.nd.waitall()
        except mx.base.MXNetError:  # MXNet would tell it again when Python ends
            pass
        self._hvd.shutdown()
