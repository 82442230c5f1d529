"""Kill each kind of process in the middle of a two-worker run, and go on: python -m tests.support.launch_faults

Prints, for each: exit code of the launcher, seconds until everything had ended, what it said, and the step
from which the same command went on.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile

from arcface_mx.data.recordio.writer import RecordWriter
from tests.conftest import TINY_SIDE, tiny_photo
from tests.launch.test_launcher import IMAGES, command, fail_in_the_middle


def main() -> None:
    print("| killed at step 3 of 8 | launcher's code | seconds to the end | said | goes on from step | its code |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        data = os.path.join(folder, "faces")
        with RecordWriter(data, TINY_SIDE, TINY_SIDE) as writer:
            for person in range(5):
                for photo in range(IMAGES // 5):
                    writer.add(person, tiny_photo(person, photo))
        for victim in ("worker", "server", "scheduler"):
            words = command(os.path.join(folder, victim), data)
            code, said, seconds = fail_in_the_middle(words, victim)
            reason = re.findall(r"launch: (.*);", said)[0]
            again = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            step = re.findall(r"step-(\d+), step", again.stdout)
            print(
                f"| {victim} | {code} | {seconds:.1f} | {reason} | {(int(step[0]) if step else 'scratch')} "
                f"| {again.returncode} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
