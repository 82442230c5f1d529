"""An argument parser without abbreviations, whose errors are one line and name the nearest flag."""

from __future__ import annotations

import argparse
import difflib
import sys
from typing import Any, Dict, List, NoReturn, Optional, Sequence


class Parser(argparse.ArgumentParser):
    """An `ArgumentParser` that takes no abbreviated flags and prints an error as one line.

    `hints` contains flags that this command does not take, each with the reason. The error then states
    the reason, and not the nearest known flag.
    """

    def __init__(self, *positional: Any, **named: Any) -> None:
        named.setdefault("allow_abbrev", False)
        super().__init__(*positional, **named)
        self.hints: Dict[str, str] = {}

    def parse_args(self, args: Optional[Sequence[str]] = None, namespace: Any = None) -> Any:  # type: ignore[override]
        """Parse the arguments; an unknown flag is an error that names the nearest known flag."""
        parsed, unknown = self.parse_known_args(args, namespace)
        if not unknown:
            return parsed
        word = unknown[0]
        if word.startswith("-"):
            flag = word.split("=")[0]
            hint = self.hints.get(flag) or self.hints.get(flag.replace("_", "-"))  # keys of files have underscores
            self.error(f"unknown flag {word}{hint or nearest(flag, self.known_flags())}")
        self.error(f"unexpected argument '{word}'")

    def known_flags(self) -> List[str]:
        """All flags of this parser, as they are written on a command line."""
        return [flag for action in self._actions for flag in action.option_strings]

    def error(self, message: str) -> NoReturn:
        """Print the message as one line and exit with code 2."""
        print(f"{self.prog}: error: {message} (see {self.prog} --help)", file=sys.stderr)
        raise SystemExit(2)


def nearest(word: str, known: Sequence[str]) -> str:
    """Name the known word that is spelled most like `word`; "" if none is near."""
    matches = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"; did you mean {matches[0]}?" if matches else ""
