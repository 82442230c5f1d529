"""Run pytest in children of one process that has imported the heavy packages, which takes longer than most tests.

Each line of standard input holds the arguments of pytest and the file for its output, as JSON. Standard output has the
number of the child process, and, when it has ended, its exit code.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import sys

PACKAGES = ("mxnet", "cv2", "hypothesis", "pytest", "scipy.sparse", "scipy.stats", "sklearn.metrics", "sklearn.svm")
PROCESSOR_SECONDS = 200  # of a run of pytest
OF_THE_TREE = ("arcface_mx", "tests")  # a child imports them anew, with the bug


def main() -> None:
    importlib.import_module("arcface_mx")  # prepares the process for mxnet
    for package in PACKAGES:
        importlib.import_module(package)
    for name in [name for name in sys.modules if name.partition(".")[0] in OF_THE_TREE]:
        del sys.modules[name]
    for line in iter(sys.stdin.readline, ""):
        arguments, output = json.loads(line)
        child = os.fork()
        if not child:
            _test(arguments, output)
        print(child, flush=True)
        status = os.waitpid(child, 0)[1]
        print(os.WEXITSTATUS(status) if os.WIFEXITED(status) else -os.WTERMSIG(status), flush=True)


def _test(arguments: list, output: str) -> None:
    """Run pytest, and end this process."""
    os.setsid()
    resource.setrlimit(resource.RLIMIT_CPU, (PROCESSOR_SECONDS, PROCESSOR_SECONDS))  # an endless loop can fill a disk
    for target, path, flags in ((0, os.devnull, os.O_RDONLY), (1, output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)):
        os.dup2(os.open(path, flags, 0o600), target)
    os.dup2(1, 2)
    code = 3  # pytest's own code for an internal error
    try:
        code = int(sys.modules["pytest"].main(arguments))  # type: ignore[attr-defined]
        sys.stdout.flush()
    finally:
        os._exit(code)


if __name__ == "__main__":
    main()
