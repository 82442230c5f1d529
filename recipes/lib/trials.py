"""Print a Markdown table of trials: what each run folder had, how far it learned, and its held-out accuracy.

    python recipes/lib/trials.py photographs runs/trials/* >recipes/results/photographs/trials_table.md

The first argument is the preset of the recipes; settings that differ from it are listed.
"""

from __future__ import annotations

import os
import sys
from typing import List, Sequence

from arcface_mx.config import from_flat
from arcface_mx.presets import preset_values
from arcface_mx.report.budgets import result_settings
from arcface_mx.report.plots.history import read_steps
from arcface_mx.report.provenance import describe
from arcface_mx.report.table import read_results
from arcface_mx.train.folder import read_config
from arcface_mx.train.schedule import Schedule
from arcface_mx.util.tables import markdown_table

HEADER = ["run", "loss", "set differently", "images seen", "training accuracy %", "set", "accuracy %", "flip test %"]


def changed_settings(run: str, preset: str) -> str:
    """Return the settings of a run that differ from the preset, as flags."""
    config = read_config(run)
    usual = result_settings(from_flat({**preset_values(preset, type(config.loss)), "loss": config.loss.name}))
    found = {name: value for name, value in result_settings(config).items() if value != usual.get(name)}
    words = []
    for name, value in found.items():
        text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
        words.append(f"--{name.replace('_', '-')} {text}")
    return " ".join(words)


def rows_of(run: str, preset: str) -> List[List[str]]:
    """Return a row for each verification set of a run."""
    config, last = read_config(run), read_steps(run)[-1]
    schedule = Schedule.of(config.optimizer, config.data.batch_size)
    common = [
        os.path.basename(os.path.normpath(run)),
        config.loss.name,
        changed_settings(run, preset),
        f"{schedule.steps * schedule.images_a_step:,}",
        f"{100 * last['accuracy']:.1f}" if last.get("accuracy") is not None else "-",
    ]
    return [
        [*common, result["set"], *(f"{100 * m['accuracy']:.2f} ± {100 * m['std']:.2f}" for m in flips(result))]
        for result in read_results(run)
    ]


def flips(result: dict) -> Sequence[dict]:
    """Return the metrics without and with flip test."""
    return [result["none"], result["sum"]]


if __name__ == "__main__":
    chosen, runs = sys.argv[1], sys.argv[2:]
    print(markdown_table([HEADER, *(row for run in runs for row in rows_of(run, chosen))]))
    print("\n" + describe(runs))
