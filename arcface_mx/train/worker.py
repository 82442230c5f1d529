"""A training run's place among several workers: which part it reads, what it shares, what it writes.

Workers are the processes that `arcface-mx launch` starts. MXNet's parameter server (ps-lite) or Horovod
adds their gradients; each updates its own copy of the weights, so that all hold the same. Rank 0 keeps the run
folder and verifies; the others write to a folder that goes when they end.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import tempfile
from dataclasses import dataclass, field
from typing import Any, Dict, List, Tuple

from arcface_mx.config import TrainConfig
from arcface_mx.parallel.communicator import Communicator, HorovodCommunicator
from arcface_mx.train.state import RunState
from arcface_mx.util.errors import UserError


@dataclass(frozen=True)
class Worker:
    """One worker of `size`; `kvstore` is MXNet's, or the name of one where there is a single worker.

    communicator: over which `--parallel centres` splits too. With MXNet's servers there is one worker of those.
    """

    kvstore: Any
    rank: int = 0
    size: int = 1
    scratch: str = ""
    communicator: Communicator = field(default_factory=Communicator)

    @property
    def _on_horovod(self) -> bool:
        return getattr(self.kvstore, "type", "") == "horovod"

    @property
    def part(self) -> Tuple[int, int]:
        return self.rank, self.size

    def run_config(self, config: TrainConfig) -> TrainConfig:
        """The configuration with this worker's run folder: the run's own on rank 0."""
        if not self.rank:
            return config
        run = dataclasses.replace(config.run, run=os.path.join(self.scratch, "run"), keep_checkpoints=0, eval_every=0)
        return dataclasses.replace(config, run=run, data=dataclasses.replace(config.data, eval=()))

    def own_config(self, config: TrainConfig) -> TrainConfig:
        """The configuration with this worker's share of the batch, and random numbers of its own.

        Raises UserError where the batch cannot be shared evenly.
        """
        batch, seed = config.data.batch_size, config.run.seed
        if self.size == 1:
            return config
        if batch % self.size:
            raise UserError(
                f"--batch-size {batch} does not split evenly over {self.size} workers; take a multiple of {self.size}"
            )
        if config.run.parallel == "centres" and self.communicator.size == 1:
            raise UserError(
                "--parallel centres over several workers needs launch --engine horovod; else use --parallel data"
            )
        if config.optimizer.skip_bad_batches:
            raise UserError("--skip-bad-batches: the workers cannot skip a step one by one; give 0 with launch")
        data = dataclasses.replace(config.data, batch_size=batch // self.size)
        run = dataclasses.replace(config.run, seed=(seed + 1_000_003 * self.rank) % (1 << 31))
        return dataclasses.replace(config, data=data, run=run)

    def finished(self, here: bool) -> bool:
        """Whether rank 0 found the run finished before."""
        return bool(self._shared("finished", [float(here)])[0]) if self.size > 1 else here

    def share_state(self, state: RunState, symbol: Any, shapes: Dict[str, Tuple[int, ...]]) -> RunState:
        """Rank 0's state on every worker; one that starts from scratch is made by each from the seed.

        symbol: of the training graph, and its input shapes: they say what arrays there are.
        """
        if self.size == 1:
            return state
        step, whole = self._shared("start", [float(state.step), float(bool(state.arg_params))])
        if not whole:
            return state
        args, _, states = symbol.infer_shape(**shapes)
        wanted = {
            "arg": _without(dict(zip(symbol.list_arguments(), args)), shapes),
            "aux": dict(zip(symbol.list_auxiliary_states(), states)),
        }
        wanted["momentum"] = wanted["arg"]
        given = {"arg": state.arg_params, "aux": state.aux_params, "momentum": state.momentum}
        found = {group: self._shared_arrays(group, given[group], wanted[group]) for group in wanted}
        return dataclasses.replace(
            state,
            step=int(step),
            arg_params=found["arg"],
            aux_params=found["aux"],
            momentum=found["momentum"] if step else {},
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

    def any(self, flag: bool) -> bool:
        """Whether to stop, asked by all workers at the end of a step: where one was asked to, all do."""
        return self.kvstore.any(flag) if self._on_horovod else flag

    def end_together(self) -> None:
        """Wait for the others, who wait for rank 0's verification."""
        if self._on_horovod:
            self.kvstore.any(False)

    def lost_another(self, error: Exception) -> bool:
        """Whether an error of MXNet says that another worker has ended."""
        return self._on_horovod and "orovod" in str(error)

    def leave(self) -> None:
        """Let go of the others, and remove what this worker wrote for itself."""
        if self._on_horovod:
            self.kvstore.leave()
        if self.scratch:
            shutil.rmtree(self.scratch, ignore_errors=True)


def join(kvstore: str) -> Worker:
    """This process's place: the only worker, or one of those that `arcface-mx launch` started.

    Blocks until all workers are there. Raises UserError where a distributed store has no launcher.
    """
    if kvstore == "horovod":
        return _join_horovod()
    if not kvstore.startswith("dist"):
        return Worker(kvstore)
    if os.environ.get("DMLC_ROLE") != "worker":
        raise UserError(
            f"--kvstore {kvstore} adds over several workers; start them with: arcface-mx launch -n WORKERS -- train …"
        )
    import mxnet as mx

    store = mx.kv.create(kvstore)
    return Worker(store, store.rank, store.num_workers, _scratch(store.rank))


def _join_horovod() -> Worker:
    from arcface_mx.launch import horovod_store

    hvd = horovod_store.join()
    communicator = HorovodCommunicator(hvd)
    return Worker(
        horovod_store.HorovodStore(hvd), communicator.rank, communicator.size, _scratch(communicator.rank), communicator
    )


def _scratch(rank: int) -> str:
    return tempfile.mkdtemp(prefix="arcface-mx-worker-") if rank else ""


def _without(values: Dict[str, Any], names: Any) -> Dict[str, Any]:
    return {name: value for name, value in values.items() if name not in names}
