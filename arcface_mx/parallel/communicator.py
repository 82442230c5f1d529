"""Collective operations between the processes of one training run.

`Communicator` is a run of one process, in which nothing is sent. `HorovodCommunicator` is one of
several processes. All processes call the same operations in the same order; `name` says which calls
belong together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mxnet.ndarray import NDArray


class Communicator:
    """The only process of a run. `rank` lies in 0 to size − 1."""

    rank, size = 0, 1

    def all_gather(self, name: str, array: NDArray) -> NDArray:
        """Return the arrays (B, …) of all processes as one of shape (size·B, …), by rank."""
        return array

    def all_reduce(self, name: str, array: NDArray) -> NDArray:
        """Return the sum over all processes."""
        return array

    def all_reduce_max(self, name: str, array: NDArray) -> NDArray:
        """Return the element-wise maximum over all processes."""
        return array

    def reduce_scatter(self, name: str, array: NDArray) -> NDArray:
        """Sum arrays of shape (size·B, …) over all processes; return the rows (B, …) of this rank."""
        return array

    def broadcast(self, root: int, name: str, array: NDArray) -> NDArray:
        """Return the array of process `root`. The other processes pass an array of its shape."""
        return array


class HorovodCommunicator(Communicator):
    """One of the processes that Horovod connected.

    Each operation returns when it is done, because Horovod refuses a name that is still in use.

    Parameters
    ----------
    hvd : module
        ``horovod.mxnet``, initialised.
    """

    def __init__(self, hvd: Any) -> None:
        self._hvd = hvd
        self.rank, self.size = hvd.rank(), hvd.size()

    def all_gather(self, name: str, array: NDArray) -> NDArray:
        return self._hvd.allgather(array, name="all_gather " + name)

    def all_reduce(self, name: str, array: NDArray) -> NDArray:
        return _done(self._hvd.allreduce(array, name="all_reduce " + name, op=self._hvd.Sum))

    def all_reduce_max(self, name: str, array: NDArray) -> NDArray:
        return _done(self._hvd.allreduce(array, name="all_reduce_max " + name, op=self._hvd.Max))

    def reduce_scatter(self, name: str, array: NDArray) -> NDArray:
        return self._hvd.reducescatter(array, name="reduce_scatter " + name, op=self._hvd.Sum)

    def broadcast(self, root: int, name: str, array: NDArray) -> NDArray:
        return _done(self._hvd.broadcast(array, root, name="broadcast " + name))


def _done(array: NDArray) -> NDArray:
    array.wait_to_read()
    return array
