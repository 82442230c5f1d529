"""Processes of one training as threads: what they exchange goes through NumPy, with a barrier. Needs no Horovod.

MXNet is not made to be called from several threads at once, so one runs at a time, until it waits.
"""

from __future__ import annotations

import threading

import mxnet as mx
import numpy as np

from arcface_mx.parallel.communicator import Communicator


class ThreadCommunicator(Communicator):
    """One of `size` threads that share `board`, which `run` makes."""

    def __init__(self, rank, size, board):
        self.rank, self.size, self._board = rank, size, board

    def _all(self, name, array):
        """Every thread's array, by rank; all must ask for the same name."""
        self._board["given"][self.rank] = (name, array.asnumpy())
        self._wait()
        found = list(self._board["given"])
        self._wait()
        assert {one for one, _ in found} == {name}
        return [value for _, value in found]

    def _wait(self):
        self._board["turn"].release()
        try:
            self._board["barrier"].wait(60)
        finally:
            self._board["turn"].acquire()

    def all_gather(self, name, array):
        return mx.nd.array(np.concatenate(self._all(name, array)), dtype=array.dtype)

    def all_reduce(self, name, array):
        return mx.nd.array(np.sum(self._all(name, array), axis=0))

    def all_reduce_max(self, name, array):
        return mx.nd.array(np.max(self._all(name, array), axis=0))

    def reduce_scatter(self, name, array):
        return mx.nd.array(np.split(np.sum(self._all(name, array), axis=0), self.size)[self.rank])

    def broadcast(self, root, name, array):
        return mx.nd.array(self._all(name, array)[root])


def run(size, work):
    """`work(communicator)` in each of `size` threads; the results by rank. The first error is raised."""
    board = {"given": [None] * size, "barrier": threading.Barrier(size), "turn": threading.Lock()}
    results, errors = [None] * size, []

    def one(rank):
        try:
            with board["turn"]:
                results[rank] = work(ThreadCommunicator(rank, size, board))
                mx.nd.waitall()
        except Exception as error:  # the others must not wait for it
            errors.append(error)
            board["barrier"].abort()

    threads = [threading.Thread(target=one, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise next((error for error in errors if not isinstance(error, threading.BrokenBarrierError)), errors[0])
    return results
