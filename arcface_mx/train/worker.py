"""One process of a training run, and what it shares with the other processes.

The launcher starts several workers. MXNet's parameter server (ps-lite) or Horovod adds their
gradients, and each worker updates its own copy of the weights, so that all copies stay equal. Rank 0
keeps the run folder and verifies. The other workers write to a temporary folder.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import tempfile
from dataclasses import dataclass, field
from typing import Any, Dict, List, Tuple

from arcface_mx.launch.endpoint import prepare_socket
from arcface_mx.parallel.communicator import Communicator, HorovodCommunicator
from arcface_mx.train.state import RunState
from arcface_mx.util.errors import UserError
from arcface_mx.util.files import make_temporary

LOSS_SCALE_STATE = ("scale", "good_steps", "overflows")


@dataclass(frozen=True)
class Worker:
    """One process of a run.

    Attributes
    ----------
    kvstore : KVStore or str
        MXNet's store, or the name of a store for a run of one process.
    rank, size : int
    scratch : str
        Temporary folder of a worker that does not keep the run folder.
    communicator : Communicator
        The processes over which the class centres are split too. Its size is 1 with ps-lite.
    """

    kvstore: Any
    rank: int = 0
    size: int = 1
    scratch: str = ""
    communicator: Communicator = field(default_factory=Communicator)
    _asked: List[Any] = field(default_factory=list, repr=False)  # with ps-lite: how many workers asked to stop

    @property
    def _on_horovod(self) -> bool:
        return getattr(self.kvstore, "type", "") == "horovod"

    @property
    def part(self) -> Tuple[int, int]:
        """Rank of this worker, and number of workers."""
        return self.rank, self.size

    @property
    def is_root(self) -> bool:
        """Whether this worker keeps the run folder and verifies."""
        return self.rank == 0

    def folder(self, run: str) -> str:
        """Return the folder that this worker writes to: the run's own on rank 0, a temporary one elsewhere."""
        return run if self.is_root else os.path.join(self.scratch, "run")

    def batch_size(self, batch_size: int) -> int:
        """Return this worker's share of a batch. Raises UserError if it cannot be shared evenly."""
        if batch_size % self.size:
            raise UserError(f"`batch_size` must be a multiple of the {self.size} workers, got {batch_size}")
        return batch_size // self.size

    def seed(self, seed: int) -> int:
        """Return this worker's own seed of random numbers."""
        return (seed + 1_000_003 * self.rank) % (1 << 31)

    def check(self, parallel: str, skip_bad_batches: int) -> None:
        """Raise UserError for settings that several workers cannot have."""
        if self.size == 1:
            return
        if parallel == "centres" and self.communicator.size == 1:
            raise UserError(
                "`parallel` centres over several workers needs launch --engine horovod; use `parallel` data"
            )
        if skip_bad_batches:
            raise UserError("`skip_bad_batches` must be 0 with several workers, which cannot skip a step one by one")

    def finished(self, here: bool) -> bool:
        """Return whether rank 0 finds that the run has finished before."""
        return bool(self._shared("finished", [float(here)])[0]) if self.size > 1 else here

    def share_state(self, state: RunState, symbol: Any, shapes: Dict[str, Tuple[int, ...]]) -> RunState:
        """Return rank 0's state on every worker. A run from scratch is initialised by each worker from the seed.

        Parameters
        ----------
        state : RunState
            This worker's state.
        symbol : Symbol
            The training graph.
        shapes : dict of str to tuple of int
            Shapes of its inputs, from which the shapes of all parameters follow.
        """
        if self.size == 1:
            return state
        scale = [float(state.loss_scale.get(name, 0.0)) for name in LOSS_SCALE_STATE]
        step, whole, *scale = self._shared("start", [float(state.step), float(bool(state.arg_params)), *scale])
        if not whole:
            return state
        args, _, states = symbol.infer_shape(**shapes)
        wanted = {
            "arg": _without(dict(zip(symbol.list_arguments(), args)), shapes),
            "aux": dict(zip(symbol.list_auxiliary_states(), states)),
        }
        wanted["momentum"] = wanted["arg"]
        held = {"arg": state.arg_params, "aux": state.aux_params, "momentum": state.momentum}
        shared = {group: self._shared_arrays(group, held[group], wanted[group]) for group in wanted}
        return dataclasses.replace(
            state,
            step=int(step),
            arg_params=shared["arg"],
            aux_params=shared["aux"],
            momentum=shared["momentum"] if step else {},
            loss_scale=dict(zip(LOSS_SCALE_STATE, scale)) if scale[0] else {},
        )

    def _shared_arrays(self, group: str, given: Dict[str, Any], shapes: Dict[str, Tuple[int, ...]]) -> Dict[str, Any]:
        import mxnet as mx

        names = sorted(shapes)
        there = self._shared("there " + group, [float(name in given) for name in names])
        found = {}
        for name, on_rank_0 in zip(names, there):
            if on_rank_0:
                array = given[name] if name in given else mx.nd.zeros(shapes[name])
                found[name] = self._from_rank_0(f"{group}:{name}", array.reshape(shapes[name]))
        return found

    def _shared(self, key: str, numbers: List[float]) -> List[float]:
        import mxnet as mx

        return [float(value) for value in self._from_rank_0(key, mx.nd.array(numbers)).asnumpy()]

    def _from_rank_0(self, key: str, array: Any) -> Any:
        import mxnet as mx

        found = mx.nd.zeros(array.shape)
        self.kvstore.broadcast("share " + key, array, out=found)
        return found

    def should_save(self, flag: bool) -> bool:
        """Return whether rank 0 asks all workers to save, with Horovod; with ps-lite each worker saves by itself."""
        return self.kvstore.any(flag) if self._on_horovod else flag

    def should_stop(self, flag: bool) -> bool:
        """Return whether any worker asks to stop. All workers call it at the end of a step.

        With ps-lite the answer is that of the step before, which has arrived and costs no wait.
        """
        if self.size == 1 or self._on_horovod:
            return self.kvstore.any(flag) if self._on_horovod else flag
        import mxnet as mx

        if not self._asked:
            self._asked.append(mx.nd.zeros(1))
            self.kvstore.init("asked to stop", self._asked[0])
        asked = bool(self._asked[0].asscalar())
        self.kvstore.pushpull("asked to stop", mx.nd.array([float(flag)]), out=self._asked[0])
        return asked

    def end_together(self) -> None:
        """Wait until all workers are here; the others wait for rank 0's verification."""
        if self._on_horovod:
            self.kvstore.any(False)

    def lost_another(self, error: Exception) -> bool:
        """Return whether an error of MXNet means that another worker has ended."""
        return self._on_horovod and "orovod" in str(error)

    def leave(self) -> None:
        """Leave the group of workers and remove this worker's temporary folder."""
        if self._on_horovod:
            self.kvstore.leave()
        if self.scratch:
            shutil.rmtree(self.scratch, ignore_errors=True)


def join(kvstore: str, devices: str = "cpu") -> Worker:
    """Return this process as a worker: the only one, or one of those that the launcher started.

    Blocks until all workers are connected. Raises UserError if a distributed store has no launcher, or
    cannot add the gradients of these devices.
    """
    if kvstore == "horovod":
        return _join_horovod(devices)
    if not kvstore.startswith("dist"):
        return Worker(kvstore)
    if os.environ.get("DMLC_ROLE") != "worker":
        raise UserError(
            f"`kvstore` {kvstore} adds over several workers; start them with: arcface-mx launch -n WORKERS -- train …"
        )
    import mxnet as mx

    with prepare_socket():
        store = mx.kv.create(kvstore)
    return Worker(store, store.rank, store.num_workers, _scratch(store.rank))


def _join_horovod(devices: str) -> Worker:
    from arcface_mx.launch import horovod_store

    hvd = horovod_store.join(devices)
    communicator = HorovodCommunicator(hvd)
    return Worker(
        horovod_store.HorovodStore(hvd), communicator.rank, communicator.size, _scratch(communicator.rank), communicator
    )


def _scratch(rank: int) -> str:
    return make_temporary(tempfile.gettempdir())[0] if rank else ""  # this process holds its lock


def _without(values: Dict[str, Any], names: Any) -> Dict[str, Any]:
    return {name: value for name, value in values.items() if name not in names}
