"""The command line: one module a command, found by its path.

`cli/data/check.py` is the command `arcface-mx data check`, and `cli/verify_pair.py` is
`arcface-mx verify-pair`. A command's module has

- `HELP`: a summary line, and below it the description of the command;
- `add_arguments(parser)`, or `add_arguments(parser, arguments)` where the flags depend on the other
  words of the command line;
- `run(args)`, which returns the exit code. None counts as 0.

These modules import nothing heavy at the top, so that `--help` answers at once. `cli/shared/` holds
what several commands use; its modules are not commands.

Exit codes: 0 done, 1 found problems in what was checked, 2 wrong use or bad input. A worker that ends
because another worker has ended returns `LOST_WORKER_CODE`, so that the launcher does not blame it.
"""

from __future__ import annotations

import os
import re
import sys
from typing import Optional, Sequence

from arcface_mx import __version__
from arcface_mx.util.errors import LOST_WORKER_CODE, LostWorker, UserError
from arcface_mx.util.mxnet_import import explain


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Run one command line (default: `sys.argv`) and return its exit code."""
    from arcface_mx.cli.shared.commands import answer_without_command, build_parser, load, split_command
    from arcface_mx.cli.shared.messages import messages_on_terminal

    for stream in (sys.stdout, sys.stderr):  # the bytes of a file name need not be valid text
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] == ["--version"]:
        print(f"arcface-mx {__version__}")
        return 0
    if "_ARGCOMPLETE" in os.environ:  # the shell asks for completions
        from arcface_mx.cli.shared.completion import complete

        complete()
    command, rest = split_command(words)
    if not command:
        return answer_without_command(words)
    parser = build_parser(command, rest)
    args = parser.parse_args(rest)
    flags = parser.known_flags()
    try:
        with messages_on_terminal(lambda text: with_flags(text, flags)):
            return load(command).run(args) or 0
    except UserError as error:
        print(f"arcface-mx: error: {with_flags(str(error), flags)}", file=sys.stderr)
        return 2
    except LostWorker as error:
        print(f"arcface-mx: {error}", file=sys.stderr)
        return LOST_WORKER_CODE
    except OSError as error:  # for example a full disk, or a folder without write permission
        print(f"arcface-mx: error: {explain(error) or error}", file=sys.stderr)
        return 2
    except ImportError as error:
        if not explain(error):
            raise
        print(f"arcface-mx: error: {explain(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("arcface-mx: interrupted", file=sys.stderr)
        return 130


def with_flags(message: str, flags: Sequence[str]) -> str:
    """Replace argument names in backticks by the command's flags: `batch_size` becomes --batch-size."""

    def flag(match: re.Match[str]) -> str:
        name = match.group(1)
        spelled = "--" + name.replace("_", "-")
        return spelled if spelled in flags else name

    return re.sub(r"`([A-Za-z]\w*)`", flag, message)
