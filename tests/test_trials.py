"""recipes/lib/trials.py lists what a trial changed and how far it learned."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from arcface_mx.config import find_loss
from arcface_mx.presets import preset_values
from arcface_mx.report.paper import default_path
from tests.report.test_table import write_run

SCRIPT = os.path.join(os.path.dirname(default_path()), "lib", "trials.py")


def test_a_trial_is_listed_with_its_changes_and_its_training_accuracy(tmp_path):
    values = preset_values("photographs", find_loss("softmax"))
    run = write_run(
        str(tmp_path / "quick"), 0.8125, **{**values, "loss": "softmax", "lr": 0.05, "steps": 10, "seed": 3}
    )
    with open(os.path.join(run, "log.jsonl"), "w") as stream:
        for step, accuracy in ((5, 0.1), (10, 0.4567)):
            stream.write(json.dumps({"event": "step", "step": step, "accuracy": accuracy}) + "\n")
    done = subprocess.run([sys.executable, SCRIPT, "photographs", run], capture_output=True, text=True, check=True)
    cells = [cell.strip() for cell in done.stdout.splitlines()[2].split("|")[1:-1]]
    assert cells[:3] == ["quick", "softmax", "--lr 0.05 --steps 10"]
    assert cells[3:] == ["640", "45.7", "faces", "81.25 ± 0.00", "81.25 ± 0.00"]
