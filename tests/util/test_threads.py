"""The number of threads changes in a running process, and the choice among numbers."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from arcface_mx.util import environment, threads

# Prints a digest of gradients whose bits depend on the number of threads, after each of the numbers it is given.
CODE = """
import hashlib, os, sys
import arcface_mx, mxnet as mx, numpy as np
from arcface_mx.native import library
from arcface_mx.symbols import margin_cross_entropy
from arcface_mx.util.threads import set_threads

def bits(context):
    random = np.random.RandomState(0)
    arrays = [random.normal(size=size).astype("f") for size in ((16, 8, 24, 24), (8, 8, 3, 3), (32, 4608), (200, 32))]
    images, kernel, weight, centres = (mx.nd.array(array, ctx=context) for array in arrays)
    for array in (kernel, weight, centres):
        array.attach_grad()
    with mx.autograd.record():
        maps = mx.nd.Convolution(images, kernel, kernel=(3, 3), num_filter=8, no_bias=True, pad=(1, 1))
        products = mx.nd.FullyConnected(mx.nd.tanh(maps), weight, num_hidden=32, no_bias=True)
        loss = mx.nd.dot(products, centres.T).sum()
    loss.backward()
    data = b"".join(array.grad.asnumpy().tobytes() for array in (kernel, weight, centres))
    return hashlib.sha256(data).hexdigest()[:12]

contexts = [mx.cpu(0), mx.cpu(1)]
for number in map(int, sys.argv[1:]):
    if number:
        set_threads(number, contexts)
    print(*(bits(context) for context in contexts), os.environ["OMP_NUM_THREADS"])
"""


def bits_of(started_with, *numbers):
    """One line a number: digests on two CPU contexts, and OMP_NUM_THREADS. 0 leaves the threads as they are."""
    done = subprocess.run(
        [sys.executable, "-c", CODE, *map(str, numbers)],
        env={**os.environ, "OMP_NUM_THREADS": str(started_with)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return [line.split() for line in done.stdout.splitlines()]


@pytest.mark.slow
def test_a_changed_number_gives_the_bits_of_a_process_that_began_with_it():
    [two_from_the_start], [one_from_the_start] = bits_of(2, 0), bits_of(1, 0)
    assert one_from_the_start[0] != two_from_the_start[0]  # else the test shows nothing
    changed = bits_of(2, 0, 1, 2, 1)
    assert changed == [two_from_the_start, one_from_the_start, two_from_the_start, one_from_the_start]


@pytest.fixture
def four_cores(monkeypatch):
    """A machine with four cores, and a list of the numbers that are used."""
    monkeypatch.setattr(threads, "available_cores", lambda: 4)
    return []


def clock(monkeypatch, numbers, seconds):
    """Let a step last `seconds[number of threads]`, on a clock of its own."""
    now = [0.0]
    monkeypatch.setattr(threads.time, "perf_counter", lambda: now[0])

    def step():
        now[0] += seconds[numbers[-1]]

    return step


def test_all_cores_half_of_them_and_one_are_measured(four_cores, monkeypatch):
    step = clock(monkeypatch, four_cores, {4: 3.0, 2: 2.0, 1: 0.1})
    times = threads.measure(step, four_cores.append)
    assert times == pytest.approx({4: 3.0, 2: 2.0, 1: 0.1}) and four_cores == [4, 2, 1]


def test_the_measurement_ends_where_fewer_threads_take_much_longer(four_cores, monkeypatch):
    assert set(threads.measure(clock(monkeypatch, four_cores, {4: 1.0, 2: 1.6}), four_cores.append)) == {4, 2}


@pytest.mark.parametrize(
    "times, others, begin",
    [
        ({1: 0.2, 2: 0.1}, 0.0, "2 of 2 ("),
        ({1: 0.1, 2: 0.1}, 1.0, "2 of 2 ("),
        ({1: 0.1, 2: 0.5}, 1.3, "1 of 2, because other processes use this machine (a step takes 0.1 s with 1, 0.5 s"),
        ({1: 0.1, 2: 0.5}, 0.0, "1 of 2, because more are not faster here ("),
    ],
)
def test_the_reason_is_said(monkeypatch, times, others, begin):
    monkeypatch.setattr(threads, "available_cores", lambda: 2)
    assert threads.describe(times, others, "a step").startswith(begin)


def test_other_processes_are_seen_and_this_one_is_not():
    own = threads.OtherProcesses()
    seconds, busy, used = own._look()
    own._last = (seconds - 10.0, busy - 4.0, used - 1.0)
    assert own.cores() == pytest.approx(0.3, abs=0.05)


def test_a_number_that_the_user_gave_is_told_from_ours(monkeypatch):
    monkeypatch.setattr(environment, "_written", ["2"])
    for given, now, expected in (("", "2", 0), ("3", "2", 3), ("", "5", 5), ("4,2", "4,2", 4)):
        monkeypatch.setattr(environment, "GIVEN_THREADS", given)
        monkeypatch.setenv("OMP_NUM_THREADS", now)
        assert environment.given_threads() == expected


def test_the_same_number_restarts_nothing(monkeypatch):
    monkeypatch.setattr(threads, "_decided", [3])
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.setattr(threads, "_restart_engine", lambda: pytest.fail("restarted"))
    monkeypatch.setattr(environment, "_written", [])
    threads.set_threads(3, [])
    assert not threads.is_open() and np.all([threads.num_threads() == 3])
