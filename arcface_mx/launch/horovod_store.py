"""Horovod as a key-value store for MXNet's Module. The gradients of the processes are added by all-reduce.

Horovod 0.28.1 is optional; recipes/horovod.sh builds it. `arcface-mx launch --engine horovod` starts
the processes.
"""

from __future__ import annotations

import os
from typing import Any, List, Optional, Sequence, Union

import mxnet as mx
from mxnet.ndarray import NDArray

from arcface_mx.launch.rendezvous import BUILD, NO_NCCL, require_horovod
from arcface_mx.parallel.exchange import reduce
from arcface_mx.util.devices import device_names
from arcface_mx.util.errors import UserError


def join(devices: str = "cpu") -> Any:
    """Connect with the other processes, and return the module horovod.mxnet. Blocks until all are there.

    Raises UserError if Horovod is missing or cannot work with this MXNet or these devices, or if no
    launcher has started this process.
    """
    require_horovod()
    if "HOROVOD_RANK" not in os.environ:
        raise UserError(
            "`kvstore` horovod needs several workers; start them with: "
            "arcface-mx launch --engine horovod -n WORKERS -- train …"
        )
    try:
        import horovod.mxnet as hvd
    except ImportError as error:
        raise UserError(f"Horovod cannot work with this MXNet ({str(error).splitlines()[0]}); {BUILD}")
    if device_names(devices)[0][0] == "gpu" and not hvd.nccl_built():
        raise UserError(f"`devices` {devices}: {NO_NCCL}")
    hvd.init()
    return hvd


class HorovodStore(mx.kv.KVStoreBase):
    """What Module and the trainer need of a key-value store. There is no server."""

    type = "horovod"

    def __init__(self, hvd: Any) -> None:
        self._hvd = hvd

    @property
    def rank(self) -> int:
        """Number of this process."""
        return int(self._hvd.rank())

    @property
    def num_workers(self) -> int:
        """Number of processes."""
        return int(self._hvd.size())

    def is_capable(self, capability: str) -> bool:
        """Return False: each process updates its own copy of the weights, not the store."""
        return False

    def init(self, key: str, value: NDArray) -> None:
        """Do nothing. Module calls it with the first weights, which are the same in all processes."""

    def broadcast(self, key: str, value: NDArray, out: NDArray, priority: int = 0) -> None:
        """Write the value of rank 0 to `out` in every process."""
        self._hvd.broadcast(value, 0, name="broadcast " + key, priority=priority).copyto(out)

    def pushpull(
        self,
        key: str,
        value: Union[NDArray, List[NDArray]],
        out: Optional[Sequence[NDArray]] = None,
        priority: int = 0,
    ) -> None:
        """Write the sum over devices and processes to all arrays of `out`, or of `value` without it."""
        arrays = value if isinstance(value, list) else [value]
        total = reduce(arrays)
        self._hvd.allreduce_(total, name="gradient " + key, op=self._hvd.Sum, priority=priority)
        for array in out or arrays:
            if array is not total:
                total.copyto(array)

    def any(self, flag: bool) -> bool:
        """Return whether the flag is set in any process. All processes must call it."""
        total = self._hvd.allreduce(mx.nd.array([float(flag)]), name="any", op=self._hvd.Sum)
        return bool(total.asscalar() > 0)

    def leave(self) -> None:
        """Disconnect from the other processes."""
        try:
            mx.nd.waitall()
        except mx.base.MXNetError:  # an exchange with a process that has ended; raised again at exit otherwise
            pass
        self._hvd.shutdown()
