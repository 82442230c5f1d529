"""What the processes of a run share, and what each has of its own. tests/launch runs whole trainings."""

from __future__ import annotations

import mxnet as mx
import numpy as np
import pytest

from arcface_mx.train.state import RunState
from arcface_mx.train.worker import Worker
from arcface_mx.util.errors import UserError


class Store:
    """A store whose broadcast hands what rank 0 has given to the others."""

    def __init__(self):
        self.held = {}

    def broadcast(self, key, array, out):
        self.held.setdefault(key, array.copy())
        self.held[key].copyto(out)


NETWORK = mx.sym.BatchNorm(mx.sym.FullyConnected(mx.sym.Variable("data"), num_hidden=2, name="fc"), name="norm")
SHAPES = {"data": (4, 3)}


def state(step, seed):
    arguments, _, states = NETWORK.infer_shape(**SHAPES)
    random = np.random.RandomState(seed)

    def arrays(names, shapes):
        return {name: mx.nd.array(random.rand(*shape)) for name, shape in zip(names, shapes) if name not in SHAPES}

    names = NETWORK.list_arguments()
    groups = arrays(names, arguments), arrays(NETWORK.list_auxiliary_states(), states), arrays(names, arguments)
    return RunState(step, *groups, best={})


def test_every_worker_continues_with_what_rank_0_has():
    store, root = Store(), state(7, seed=1)
    empty = RunState(0, {}, {}, {}, {})
    shared = [Worker(store, rank, 2).share_state(held, NETWORK, SHAPES) for rank, held in enumerate((root, empty))]
    for found in shared:
        assert found.step == 7
        for group in ("arg_params", "aux_params", "momentum"):
            one, other = getattr(root, group), getattr(found, group)
            assert set(one) == set(other) and one
            for name in one:
                np.testing.assert_array_equal(one[name].asnumpy(), other[name].asnumpy(), err_msg=name)


def test_workers_divide_the_batch_and_draw_their_own_random_numbers():
    workers = [Worker("dist_sync", rank, 4) for rank in range(4)]
    assert [worker.batch_size(512) for worker in workers] == [128] * 4
    assert [worker.part for worker in workers] == [(0, 4), (1, 4), (2, 4), (3, 4)]
    seeds = [worker.seed(seed) for worker in workers for seed in (0, 1, (1 << 31) - 1)]
    assert len(set(seeds)) == len(seeds) and all(0 <= seed < 1 << 31 for seed in seeds)
    with pytest.raises(UserError, match="must be a multiple of the 4 workers, got 510"):
        workers[0].batch_size(510)


def test_only_rank_0_writes_to_the_run_folder():
    workers = [Worker("dist_sync", rank, 2, scratch="/tmp/scratch") for rank in range(2)]
    assert [worker.folder("runs/a") for worker in workers] == ["runs/a", "/tmp/scratch/run"]
    assert [worker.is_root for worker in workers] == [True, False]


class ParameterServer:
    """A store of one worker, which adds what is pushed, as MXNet's does over several."""

    type = "dist_sync"

    def init(self, key, value):
        self.key = key

    def pushpull(self, key, value, out):
        assert key == self.key
        out[:] = value


def test_the_best_verification_is_saved_and_does_not_stop_a_run_of_several_workers():
    worker = Worker(ParameterServer(), 0, 2)
    answers = [(worker.should_save(best), worker.should_stop(False)) for best in (False, True, False, False)]
    assert answers == [(False, False), (True, False), (False, False), (False, False)]


def test_a_worker_that_is_asked_to_stop_stops_the_run_a_step_later():
    worker = Worker(ParameterServer(), 0, 2)
    assert [worker.should_stop(flag) for flag in (False, True, False)] == [False, False, True]
