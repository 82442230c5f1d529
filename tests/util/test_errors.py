"""A message is one line, whatever a file brings into it."""

from __future__ import annotations

from arcface_mx.util.errors import UserError


def test_control_characters_are_shown_and_not_sent():
    assert str(UserError("a\nb\x1b[2J\r\u202e°×θ\udcff")) == "a\\nb\\x1b[2J\\r\\u202e°×θ\\udcff"
