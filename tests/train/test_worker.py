"""What the workers of a run ask each other at the end of a step."""

from __future__ import annotations

from arcface_mx.train.worker import Worker


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
