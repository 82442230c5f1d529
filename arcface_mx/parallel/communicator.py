"""What passes between the processes of one training: the few collective operations that it needs.

`Communicator` is a training of one process, where nothing passes. `HorovodCommunicator` is one of several. All
processes call the same operations in the same order; `name` says which ones belong together.
"""

from __future__ import annotations

from typing import Any

NDArray = Any


class Communicator:
    """The only process. rank: 0…size−1."""

    rank, size = 0, 1

    def all_gather(self, name: str, array: NDArray) -> NDArray:
        """(B, …) of every process → (size·B, …), by rank."""
        return array

    def all_reduce(self, name: str, array: NDArray) -> NDArray:
        """The sum over the processes, of the array's shape."""
        return array

    def all_reduce_max(self, name: str, array: NDArray) -> NDArray:
        """The largest of the processes' values, element by element."""
        return array

    def reduce_scatter(self, name: str, array: NDArray) -> NDArray:
        """(size·B, …) → (B, …): of the sum over the processes the rows that `all_gather` took from this one."""
        return array

    def broadcast(self, root: int, name: str, array: NDArray) -> NDArray:
        """The array of process `root`; the others give one of its shape."""
        return array


class HorovodCommunicator(Communicator):
    """One of the processes that Horovod joined. `hvd`: the module horovod.mxnet, initialised.

    Each operation returns when it is done: Horovod refuses a name that is still under way.
    """

    def __init__(self, hvd: Any) -> None:
        self._hvd = hvd
        self.rank, self.size = hvd.rank(), hvd.size()

    def all_gather(self, name: str, array: NDArray) -> NDArray:
        return self._hvd.allgather(array, name="gathered " + name)

    def all_reduce(self, name: str, array: NDArray) -> NDArray:
        return _done(self._hvd.allreduce(array, name="summed " + name, op=self._hvd.Sum))

    def all_reduce_max(self, name: str, array: NDArray) -> NDArray:
        return _done(self._hvd.allreduce(array, name="highest " + name, op=self._hvd.Max))

    def reduce_scatter(self, name: str, array: NDArray) -> NDArray:
        return self._hvd.reducescatter(array, name="rows " + name, op=self._hvd.Sum)

    def broadcast(self, root: int, name: str, array: NDArray) -> NDArray:
        return _done(self._hvd.broadcast(array, root, name="from rank " + name))


def _done(array: NDArray) -> NDArray:
    array.wait_to_read()
    return array
