"""recipes/tutorial.md taken apart for its test; `python tests/support/tutorial.py --write` runs it and writes its outputs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from typing import List

PAGE = os.path.join(
    os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "recipes", "tutorial.md"
)
BLOCK = re.compile(r"```sh\n(.*?)```\n(?:\n```text\n(.*?)```\n)?", re.S)
QUIET = ("legacy_json_util", "Warning")


def blocks() -> List[str]:
    """The page's shell scripts, in order."""
    with open(PAGE, encoding="utf-8") as stream:
        return [match.group(1) for match in BLOCK.finditer(stream.read())]


def commands(script: str, folder: str) -> List[List[str]]:
    """The script run in `folder` with arcface-mx left out: the arguments of each such call, as the shell expands them."""
    record = os.path.join(folder, ".calls")
    function = f'arcface-mx() {{ printf "%s\\0" "$@" >>{record}; printf "\\n" >>{record}; }}\n'
    subprocess.run(["bash", "-euo", "pipefail", "-c", function + script], cwd=folder, check=True)
    if not os.path.exists(record):
        return []
    with open(record, encoding="utf-8") as stream:
        calls = [line.split("\0")[:-1] for line in stream.read().split("\n")[:-1]]
    os.unlink(record)
    return calls


def outputs(folder: str) -> List[str]:
    """What each block prints, run as it stands in `folder`."""
    environment = dict(os.environ, PATH=os.path.dirname(sys.executable) + os.pathsep + os.environ["PATH"])
    results = []
    for script in blocks():
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=folder,
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        if done.returncode:
            sys.exit(f"{script}\nended with {done.returncode}:\n{done.stdout}")
        results.append("\n".join(line for line in done.stdout.splitlines() if not any(word in line for word in QUIET)))
    return results


def write() -> None:
    """Replace each block's output by what it prints today."""
    with tempfile.TemporaryDirectory() as folder:
        printed = iter(outputs(folder))

    def filled(match: re.Match[str]) -> str:
        return f"```sh\n{match.group(1)}```\n\n```text\n{next(printed)}\n```\n"

    with open(PAGE, encoding="utf-8") as stream:
        page = BLOCK.sub(filled, stream.read())
    with open(PAGE, "w", encoding="utf-8") as stream:
        stream.write(page)


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit("usage: python tests/support/tutorial.py --write")
    write()
