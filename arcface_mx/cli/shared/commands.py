"""The tree of commands: which there are, the parser of one, and the list that `--help` shows."""

from __future__ import annotations

import argparse
import importlib
import inspect
import os
import pkgutil
import sys
from functools import lru_cache
from types import ModuleType
from typing import Dict, List, Sequence, Tuple

from arcface_mx.cli.shared.parser import Parser, nearest

CLI = "arcface_mx.cli"

DESCRIPTION = """usage: arcface-mx COMMAND ...

ArcFace on MXNet: make face data, train, verify, export.

A first run:   arcface-mx recipe arcface_m0.50
Step by step:  arcface-mx data rendered faces
               arcface-mx train --data faces --eval faces/rendered_lfw.bin --run runs/first
               arcface-mx verify runs/first faces/rendered_lfw.bin
               arcface-mx export runs/first --out model
"""


@lru_cache(maxsize=None)
def commands() -> Dict[str, str]:
    """Return the module of each command, by the words of the command."""
    prefix = CLI + "."
    paths = [
        module.name[len(prefix) :]
        for module in pkgutil.walk_packages([os.path.dirname(os.path.dirname(__file__))], prefix)
        if not module.ispkg and not module.name.startswith(prefix + "shared.")
    ]
    return {path.replace(".", " ").replace("_", "-"): prefix + path for path in sorted(paths)}


def load(command: str) -> ModuleType:
    """Import the module of a command."""
    return importlib.import_module(commands()[command])


def split_command(arguments: Sequence[str]) -> Tuple[str, List[str]]:
    """Split a command line into its command, "" if it names none, and the other words."""
    known = commands()
    for count in (2, 1):
        command = " ".join(arguments[:count])
        if command in known:
            return command, list(arguments[count:])
    return "", list(arguments)


def build_parser(command: str, arguments: Sequence[str] = ()) -> Parser:
    """Build the parser of a command. `arguments` are the words that follow the command."""
    module = load(command)
    parser = Parser(
        prog=f"arcface-mx {command}",
        description=module.HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    takes_arguments = len(inspect.signature(module.add_arguments).parameters) == 2
    module.add_arguments(parser, *([arguments] if takes_arguments else []))
    return parser


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Parse a command line. Exits, as argparse does, if it names no command or cannot be parsed."""
    command, rest = split_command(arguments)
    if not command:
        raise SystemExit(answer_without_command(arguments))
    return build_parser(command, rest).parse_args(rest)


def help_text(group: str = "") -> str:
    """List the commands of a group such as "data", or all commands, with their summaries."""
    sections: Dict[str, List[str]] = {}
    for command in commands():
        name = command.rpartition(" ")[0]
        summary = load(command).HELP.splitlines()[0]
        sections.setdefault(name, []).append(f"  {command:24} {summary}")
    blocks = [] if group else [DESCRIPTION]
    for name in [group] if group else sorted(sections):
        title = importlib.import_module(f"{CLI}.{name}").__doc__ if name else "Commands:"
        blocks.append("\n".join([f"{title}", *sections[name], ""]))
    return "\n".join([*blocks, "arcface-mx COMMAND --help explains a command and its flags."])


def answer_without_command(arguments: Sequence[str]) -> int:
    """Print help, or an error if the words name no command, and return the exit code."""
    words = [word for word in arguments if not word.startswith("-")]
    groups = {command.split()[0] for command in commands() if " " in command}
    if words and (len(words) > 1 or words[0] not in groups):
        command = " ".join(words[: 2 if words[0] in groups else 1])
        message = f"there is no command '{command}'{nearest(command, list(commands()))}"
        print(f"arcface-mx: error: {message} (see arcface-mx --help)", file=sys.stderr)
        return 2
    print(help_text(*words))
    return 0 if {"-h", "--help"} & set(arguments) else 2
