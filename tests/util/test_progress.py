"""Long work reports its progress where messages of level INFO are wanted."""

from __future__ import annotations

import io
import sys

import pytest

from arcface_mx.util import progress as module
from arcface_mx.util.progress import duration, progress


def test_without_a_terminal_a_message_now_and_then(monkeypatch, caplog):
    caplog.set_level("INFO", "arcface_mx")
    clock = iter([0.0, 0.0, 20.0, 40.0, 60.0])
    monkeypatch.setattr(module.time, "monotonic", lambda: next(clock))
    assert list(progress([1, 2, 3, 4], "embedding", "image")) == [1, 2, 3, 4]
    assert caplog.messages == ["embedding: 2/4 image, 40 s left"]
    caplog.clear()
    clock = iter([0.0, 0.0, 40.0])
    assert list(progress(iter("ab"), "packing", "image")) == ["a", "b"]
    assert caplog.messages == ["packing: 1 image"]


def test_nothing_is_shown_where_messages_are_not_wanted(monkeypatch, caplog):
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", terminal)
    assert list(progress([1, 2, 3], "embedding")) == [1, 2, 3]
    assert not module.shows_bar() and not terminal.getvalue()
    caplog.set_level("INFO", "arcface_mx")
    assert list(progress([1, 2, 3], "embedding")) == [1, 2, 3]
    assert module.shows_bar() and "embedding" in terminal.getvalue()


@pytest.mark.parametrize("seconds, text", [(45, "45 s"), (720, "12 min"), (12000, "3 h 20 min"), (388800, "4.5 days")])
def test_durations_are_written_as_people_say_them(seconds, text):
    assert duration(seconds) == text
