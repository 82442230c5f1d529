"""Batches run in child processes; an item that ends its process costs no other item its result."""

from __future__ import annotations

import os
import signal

import pytest

from arcface_mx.util import children
from arcface_mx.util.children import in_batches, run_batches
from arcface_mx.util.errors import UserError


@pytest.fixture(autouse=True)
def fresh_children():
    children.close_children()
    yield
    children.close_children()


def squares(batch):
    """What a child does here: squares of numbers; −1 crashes, −2 hangs, −3 raises and −4 prints."""
    for item in batch:
        if item == -1:
            os.kill(os.getpid(), signal.SIGSEGV)
        if item == -2:
            signal.pause()
        if item == -3:
            raise UserError("an item is −3")
        if item == -4:
            os.write(1, b"a library prints this")
    return [item * item for item in batch]


def run(items, size=4, workers=2):
    results = run_batches(squares, in_batches(items, size), lambda item, reason: [(item, reason)], workers)
    return [value for result in results for value in result]


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 3])
def test_results_come_in_order_and_crashes_are_isolated(workers):
    items = list(range(20))
    for bad in (0, 19):
        items[bad] = -1
    crash = (-1, "the decoder crashed (SIGSEGV)")
    expected = [crash if item == -1 else item * item for item in items]
    assert run(items, workers=workers) == expected


def test_output_of_libraries_does_not_disturb():
    assert run([-4, 2], workers=1) == [16, 4]


def test_an_exception_is_raised_here():
    with pytest.raises(UserError, match="an item is −3"):
        run([1, -3], workers=1)


def test_an_item_that_hangs_is_ended(monkeypatch):
    monkeypatch.setattr(children, "SECONDS", 0.5)
    assert run([-2], workers=1) == [(-2, "took more than 0 seconds")]


def test_a_child_that_cannot_start_is_an_error_and_no_crash(monkeypatch):
    monkeypatch.setattr(children, "START", "raise SystemExit(3)")
    with pytest.raises(UserError, match="exit code 3"):
        run([1], workers=1)


def test_no_child_is_left_when_the_caller_stops(monkeypatch):
    started, start = [], children.subprocess.Popen
    monkeypatch.setattr(children.subprocess, "Popen", lambda *a, **k: started.append(start(*a, **k)) or started[-1])
    results = run_batches(squares, in_batches(range(100), 1), lambda *_: [], 2)
    assert next(results) == [0]
    results.close()
    assert started and all(process.poll() is not None for process in started)


def test_children_are_used_again_in_the_folder_of_the_caller(tmp_path, monkeypatch):
    folders = []
    for folder in (os.getcwd(), str(tmp_path)):
        monkeypatch.chdir(folder)
        folders += run_batches(where, [[0]], lambda *_: None)
    assert [folder for folder, _ in folders] == [os.path.dirname(os.path.dirname(os.path.dirname(__file__))), folder]
    assert folders[0][1] == folders[1][1] != os.getpid()


def where(batch):
    return os.getcwd(), os.getpid()
