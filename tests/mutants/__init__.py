"""Plausible bugs, a text file for each subject, and how they are read.

A file holds groups of bugs. A group begins with the file that has the bugs and the tests that should notice them:

    @ symbols/margin.py | tests/symbols/test_margin.py
    : the margin is subtracted from the angle
    - angle + m2
    + angle - m2

The text after "-" must stand exactly once in the file; several lines each begin with "-". The lines after
"+" take its place. A line with "=" says why no test notices the bug. Lines with "#" are comments.
"""

from __future__ import annotations

import dataclasses
import pathlib
import shlex
from typing import Dict, List, Tuple

FOLDER = pathlib.Path(__file__).parent


@dataclasses.dataclass(frozen=True)
class Mutant:
    """A bug: in `file`, `old` becomes `new`; pytest with the arguments `tests` should fail."""

    subject: str
    what: str
    file: str
    old: str
    new: str
    tests: Tuple[str, ...]
    reason: str = ""  # why no test notices it


def read_mutants(folder: pathlib.Path = FOLDER) -> List[Mutant]:
    """Return all bugs. Raises ValueError for a file of another form."""
    return [mutant for path in sorted(folder.glob("*.txt")) for mutant in _read(path)]


def _read(path: pathlib.Path) -> List[Mutant]:
    found, file, tests = [], "", ()
    fields: Dict[str, List[str]] = {}

    def finish() -> None:
        if fields:
            parts = {sign: "\n".join(fields.pop(sign, [])) for sign in ":-+="}
            if not (file and tests and parts[":"] and parts["-"]) or parts["-"] == parts["+"]:
                raise ValueError(f"{path}: {parts[':'] or parts['-']!r} is not a whole entry")
            found.append(Mutant(path.stem, parts[":"], file, parts["-"], parts["+"], tests, parts["="]))

    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        sign, text = line[:1], line[2:]
        if sign in ("@", ":"):
            finish()
        if sign == "@":
            file, _, names = (part.strip() for part in text.partition("|"))
            tests = tuple(shlex.split(names))
        elif sign and sign in ":-+=":
            fields.setdefault(sign, []).append(text)
        elif sign not in ("", "#"):
            raise ValueError(f"{path}, line {number}: a line begins with @ : - + = or #, not {sign!r}")
    finish()
    return found
