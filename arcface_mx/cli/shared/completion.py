"""Shell completion of commands, flags and their values by argcomplete (extra `completion`)."""

from __future__ import annotations

import argparse
import contextlib
import os
from typing import Any, Dict, List

from arcface_mx.cli.shared.commands import build_parser, commands
from arcface_mx.cli.shared.parser import Parser
from arcface_mx.losses import LOSSES
from arcface_mx.synonyms import NETWORKS

# Values of settings that any text may take, so that argparse does not know them.
VALUES = {"loss": list(LOSSES), "network": [*NETWORKS.values(), "mobilefacenet", "gluoncv:", "init"]}


def complete(**options: Any) -> None:
    """Answer the shell, and end the process. `options` are those of `argcomplete.autocomplete`."""
    try:
        import argcomplete
    except ImportError:
        raise SystemExit(1)  # without the extra nothing is completed
    words = os.environ.get("COMP_LINE", "").split()[1:]
    argcomplete.autocomplete(_tree(words), always_complete_options=False, **options)


def _tree(words: List[str]) -> argparse.ArgumentParser:
    """Return one parser of all commands. Only the command among the words has its flags, because imports take time."""
    root = Parser(prog="arcface-mx")
    branches: Dict[str, Any] = {"": root.add_subparsers()}
    for command in commands():
        group, _, name = command.rpartition(" ")
        if group and group not in branches:
            branches[group] = branches[""].add_parser(group).add_subparsers()
        named = command.split()
        if words[: len(named)] != named:
            branches[group].add_parser(name)
            continue
        parser = _parser(command, words[len(named) :])
        branches[group]._name_parser_map[name] = parser
        branches[group].choices[name] = parser
    return root


def _parser(command: str, arguments: List[str]) -> Parser:
    """Return the parser of a command, with the values that its flags take."""
    parser = None
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere), contextlib.suppress(SystemExit):
        parser = build_parser(command, arguments)  # ends with SystemExit for half of the name of a loss
    parser = parser or build_parser(command)
    for action in parser._actions:
        values = VALUES.get(action.dest)
        if isinstance(action.metavar, str) and action.metavar.startswith("{"):
            values = action.metavar.strip("{}").split(",")
        if values:
            action.completer = lambda values=values, **_: values  # type: ignore[attr-defined]
    return parser
