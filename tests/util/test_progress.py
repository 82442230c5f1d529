"""Long work reports its progress where messages of level INFO are wanted."""

from __future__ import annotations

import io
import sys

from arcface_mx.util import progress as module
from arcface_mx.util.progress import progress


def test_without_a_terminal_a_message_now_and_then(monkeypatch, caplog):
    caplog.set_level("INFO", "arcface_mx")
    clock = iter([0.0, 0.0, 20.0, 40.0, 60.0, 80.0, 100.0])
    monkeypatch.setattr(module.time, "monotonic", lambda: next(clock))
    assert list(progress([1, 2, 3, 4], "embedding")) == [1, 2, 3, 4]
    assert caplog.messages == ["embedding: 2 of 4, less than a minute left"]
    caplog.clear()
    clock = iter([0.0, 0.0, 40.0])
    assert list(progress(iter("ab"), "packing")) == ["a", "b"]
    assert caplog.messages == ["packing: 1"]


def test_nothing_is_shown_where_messages_are_not_wanted(monkeypatch, caplog):
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(module, "INTERVAL", 0.0)
    assert list(progress([1, 2, 3], "embedding")) == [1, 2, 3]
    assert not module.shows_bar() and not terminal.getvalue() and not caplog.messages
    caplog.set_level("INFO", "arcface_mx")
    assert list(progress([1, 2, 3], "embedding")) == [1, 2, 3]
    assert module.shows_bar() and "embedding" in terminal.getvalue()
