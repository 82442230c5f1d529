"""argparse with two manners: no abbreviations, and an unknown flag names the nearest known one."""

from __future__ import annotations

import argparse
import difflib
import sys
from typing import Any, List, NoReturn, Optional, Sequence


class Parser(argparse.ArgumentParser):
    """An ArgumentParser whose errors are one line; exit code 2."""

    def __init__(self, *positional: Any, **named: Any) -> None:
        named.setdefault("allow_abbrev", False)
        super().__init__(*positional, **named)

    def parse_args(self, args: Optional[Sequence[str]] = None, namespace: Any = None) -> Any:  # type: ignore[override]
        parsed, unknown = self.parse_known_args(args, namespace)
        if unknown:
            chosen = getattr(parsed, "_parser", self)
            chosen.error(_unknown_message(unknown[0], chosen.known_flags()))
        return parsed

    def known_flags(self) -> List[str]:
        return [flag for action in self._actions for flag in action.option_strings]

    def error(self, message: str) -> NoReturn:
        print(f"{self.prog}: error: {message} (see {self.prog} --help)", file=sys.stderr)
        raise SystemExit(2)


def _unknown_message(word: str, known: List[str]) -> str:
    if not word.startswith("-"):
        return f"unexpected argument '{word}'"
    near = difflib.get_close_matches(word.split("=")[0], known, n=1, cutoff=0.5)
    return "unknown flag {}{}".format(word, f"; did you mean {near[0]}?" if near else "")
