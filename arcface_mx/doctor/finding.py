"""One line of the doctor's report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional


@dataclass(frozen=True)
class Finding:
    """What a check found. `ok` is None if something optional is missing and nothing is wrong."""

    subject: str
    text: str
    ok: Optional[bool] = True
    remedy: str = ""


def judge(subject: str, text: str, ok: Optional[bool], remedy: str) -> Finding:
    """Make a finding that has the remedy only if something is wrong or missing."""
    return Finding(subject, text, ok, "" if ok else remedy)
