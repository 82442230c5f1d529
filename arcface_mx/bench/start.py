"""Start-up: the command line's help, and a training run of one step on a tiny face set."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from typing import Callable, Dict, List

from arcface_mx.bench.network import write_faces
from arcface_mx.bench.timing import Sample, Timing, rounds, summarise
from arcface_mx.util.errors import UserError

RECIPE = "--network iresnet18 --width 0.25 --embedding-size 128 --dropout 0 --image-size 48 --batch-size 128 --steps 1 --lr-drops 1"


def measure(repetitions: int) -> List[Timing]:
    """Starts a second; the baseline is an empty Python. One training run of one step counts the step, checkpoint and export."""
    with tempfile.TemporaryDirectory() as folder:
        data = os.path.join(folder, "faces")
        write_faces(data, 112, 200)
        runs = iter(range(1 << 20))
        contestants: Dict[str, Callable[[], List[str]]] = {
            "python -c pass": lambda: ["-c", "pass"],
            "import mxnet": lambda: ["-c", "import arcface_mx, mxnet"],
            "arcface-mx --help": lambda: ["-m", "arcface_mx", "--help"],
            "arcface-mx train, one step of the default recipe": lambda: (
                [
                    "-m",
                    "arcface_mx",
                    "train",
                    "--data",
                    data,
                    "--run",
                    os.path.join(folder, str(next(runs))),
                    *RECIPE.split(),
                ]
            ),
        }
        return summarise(rounds(contestants, lambda words: _run(words()), repetitions))  # type: ignore[arg-type]


def _run(words: List[str]) -> Sample:
    import time

    before, start = os.times(), time.perf_counter()
    done = subprocess.run([sys.executable, *words], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    seconds, after = time.perf_counter() - start, os.times()
    if done.returncode:
        raise UserError(f"bench start: {' '.join(words)} failed: {done.stderr.strip()[-300:]}")
    return Sample(
        seconds, after.children_user + after.children_system - before.children_user - before.children_system, 1
    )
