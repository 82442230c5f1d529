"""One line of the doctor's report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's report.

    Parameters
    ----------
    subject : str
        What was checked.
    text : str
        What the check found.
    ok : bool or None
        None if something optional is missing and nothing is wrong.
    remedy : str
        What to do about it. Empty if `ok` is True.
    """

    subject: str
    text: str
    ok: Optional[bool] = True
    remedy: str = ""


def judge(subject: str, text: str, ok: Optional[bool], remedy: str) -> Finding:
    """Make a finding whose remedy is only there if something is wrong or missing."""
    return Finding(subject, text, ok, "" if ok else remedy)
