"""The command line: one file a sub-command, each with HELP, add_arguments and run.

A sub-command's file imports mxnet inside `run` only, so that `--help` answers at once.
`run` returns the exit code: None or 0 done, 1 problems found in what was checked. A worker that ends
because another one did has code 75, so that the launcher does not take it for the culprit.
"""

from __future__ import annotations

import argparse
import importlib
import re
import sys
from typing import List, Optional, Sequence

from arcface_mx import __version__
from arcface_mx.cli.parser import Parser
from arcface_mx.util.errors import LOST, LostWorker, UserError

# In the order in which a newcomer needs them: (words of the command, module in this package).
COMMANDS = (
    ("data orl", "data.orl"),
    ("data check", "data.check"),
    ("data align", "data.align"),
    ("data pack", "data.pack"),
    ("data unpack", "data.unpack"),
    ("data pairs", "data.pairs"),
    ("data lfw", "data.lfw"),
    ("data clean", "data.clean"),
    ("data rendered", "data.rendered"),
    ("data rendered-sheets", "data.rendered_sheets"),
    ("data rendered-shortcuts", "data.rendered_shortcuts"),
    ("train", "train"),
    ("plan", "plan"),
    ("launch", "launch"),
    ("verify", "verify"),
    ("baselines", "baselines"),
    ("table", "table"),
    ("angles", "angles"),
    ("figures", "figures"),
    ("report", "report"),
    ("export", "export"),
    ("calibrate", "calibrate"),
    ("embed", "embed"),
    ("verify-pair", "verify_pair"),
    ("gallery build", "gallery.build"),
    ("gallery search", "gallery.search"),
    ("bench", "bench"),
    ("templates", "templates"),
    ("identify", "identify"),
    ("doctor", "doctor"),
)

GROUPS = {"data": "make and check data", "gallery": "who is it? build and search a gallery of people"}

DESCRIPTION = """ArcFace on MXNet: make face data, train, verify, export.

A first run:   recipes/arcface_m0.50.sh
Step by step:  arcface-mx data rendered faces
               arcface-mx train --data faces --eval faces/rendered_lfw.bin --run runs/first
               arcface-mx verify runs/first faces/rendered_lfw.bin
               arcface-mx export runs/first --out model"""


def build_parser() -> Parser:
    """The whole command line, without importing mxnet."""
    parser = Parser(
        prog="arcface-mx",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version="arcface-mx " + __version__)
    groups = {"": parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")}
    for words, module_name in COMMANDS:
        module = importlib.import_module("arcface_mx.cli." + module_name)
        group, _, name = words.rpartition(" ")
        if group not in groups:
            group_parser = groups[""].add_parser(group, help=f"{GROUPS[group]} (see: {group} --help)")
            groups[group] = group_parser.add_subparsers(dest="subcommand", metavar="COMMAND", title="commands")
        command = groups[group].add_parser(
            name,
            help=module.HELP.splitlines()[0],
            description=module.HELP,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_arguments(command)
        command.set_defaults(_run=module.run, _parser=command)
    return parser


def with_flags(message: str, flags: Sequence[str]) -> str:
    """Replace argument names in backticks by the command's flags: `batch_size` becomes --batch-size."""

    def flag(match: "re.Match[str]") -> str:
        name = match.group(1)
        spelled = "--" + name.replace("_", "-")
        return spelled if spelled in flags else name

    return re.sub(r"`([A-Za-z]\w*)`", flag, message)


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Run one command line; returns the exit code (2: wrong use or bad input)."""
    for stream in (sys.stdout, sys.stderr):  # file names need not be text
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    given: List[str] = list(sys.argv[1:] if arguments is None else arguments)
    parser = build_parser()
    args = parser.parse_args(given)
    if not hasattr(args, "_run"):
        parser.print_help()
        return 2
    try:
        return args._run(args) or 0
    except UserError as error:
        print(f"arcface-mx: error: {with_flags(str(error), args._parser.known_flags())}", file=sys.stderr)
        return 2
    except LostWorker as error:
        print(f"arcface-mx: {error}", file=sys.stderr)
        return LOST
    except OSError as error:  # a full disk, a folder that may not be written
        print(f"arcface-mx: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("arcface-mx: interrupted", file=sys.stderr)
        return 130
