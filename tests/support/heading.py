"""The first lines of a result: command, date, commit and machine."""

from __future__ import annotations

import datetime
import os
import platform
import sys
from typing import Callable, Optional

from arcface_mx.train.folder import commit, processor


def heading(module: str, path: Optional[str]) -> Callable[[str], None]:
    """Print how a result was made; return a function that prints a line. All lines are written to `path` too."""
    if path:
        open(path, "w").close()

    def say(line: str) -> None:
        print(line, flush=True)
        if path:
            with open(path, "a", encoding="utf-8") as stream:
                stream.write(line + "\n")

    say(f"{' '.join(['python -m', module, *sys.argv[1:]])}, {datetime.date.today()}, commit {commit() or 'unknown'}")
    say(f"{platform.system()}, Python {platform.python_version()}, {os.cpu_count()} cores of {processor()}")
    return say
