"""The blocks of recipes/tutorial.md, for its test.

`python tests/support/tutorial.py --write` runs the whole page and writes the outputs into it.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from typing import List

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PAGE = os.path.join(ROOT, "recipes", "tutorial.md")
BLOCK = re.compile(r"```sh\n(.*?)```\n(?:\n```text\n(.*?)```\n)?", re.S)
QUIET = ("legacy_json_util", "Warning")  # lines of MXNet that differ between machines


def blocks() -> List[str]:
    """The shell scripts of the page, in order."""
    with open(PAGE, encoding="utf-8") as stream:
        return [match.group(1) for match in BLOCK.finditer(stream.read())]


def commands(script: str, folder: str) -> List[List[str]]:
    """Run a script in `folder` and return the arguments of its calls of arcface-mx, which are not made."""
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
    """Run all blocks in `folder` and return what each prints."""
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
    """Replace the output of each block by what it prints today."""
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
