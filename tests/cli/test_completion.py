"""Shell completion offers commands, flags and values, without importing MXNet."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytest.importorskip("argcomplete", reason="argcomplete is not installed (extra `completion`)")

CODE = """
import os, sys
from arcface_mx.cli.shared.completion import complete
try:
    complete(exit_method=sys.exit)
finally:
    sys.stderr.write(str({"mxnet", "cv2", "sklearn"} & set(sys.modules)))
"""


def completions(line):
    """What the shell is offered at the end of a line."""
    shell = {
        "_ARGCOMPLETE": "1",
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
        "_ARGCOMPLETE_STDOUT_FILENAME": "/dev/stdout",
    }
    done = subprocess.run([sys.executable, "-c", CODE], env={**os.environ, **shell}, capture_output=True, text=True)
    assert done.stderr == "set()"
    return [word.strip() for word in done.stdout.split("\013")]


@pytest.mark.slow
@pytest.mark.parametrize(
    "line, expected",
    [
        ("arcface-mx ver", ["verify", "verify-pair"]),
        ("arcface-mx gallery ", ["build", "search"]),
        ("arcface-mx data check --me", ["--mean-face"]),
        ("arcface-mx train --loss triplet --mar", ["--margin"]),
        ("arcface-mx train --loss arc", ["arcface"]),
        ("arcface-mx train --network iresnet1", ["iresnet18", "iresnet100"]),
        ("arcface-mx verify runs --engine o", ["onnx"]),
        ("arcface-mx train --dtype ", ["float32", "float16"]),
    ],
)
def test_what_is_offered(line, expected):
    assert completions(line) == expected


def test_the_command_line_answers_the_shell(tmp_path):
    """The shell calls `arcface-mx` itself and reads what it writes to a file."""
    out = tmp_path / "out"
    shell = {
        "_ARGCOMPLETE": "1",
        "COMP_LINE": "arcface-mx calib",
        "COMP_POINT": "16",
        "_ARGCOMPLETE_STDOUT_FILENAME": out,
    }
    subprocess.run([sys.executable, "-m", "arcface_mx"], env={**os.environ, **{k: str(v) for k, v in shell.items()}})
    assert out.read_text().strip() == "calibrate"
