"""What a run says: lines on the terminal, one JSON object an event in log.jsonl."""

from __future__ import annotations

import json
import os
import sys
from typing import Any, Dict


class RunLog:
    """Prints lines and appends events to `log.jsonl`; a progress bar on a terminal."""

    def __init__(self, folder: str, total_steps: int, first_step: int) -> None:
        from tqdm import tqdm

        self._stream = open(os.path.join(folder, "log.jsonl"), "a", encoding="utf-8")
        self._bar = tqdm(
            total=total_steps, initial=first_step, unit="step", disable=not sys.stderr.isatty(), dynamic_ncols=True, leave=False
        )
        self._total = total_steps

    def say(self, text: str) -> None:
        """One line for people."""
        self._bar.clear()
        print(text, flush=True)
        self._bar.refresh()

    def event(self, kind: str, **values: Any) -> None:
        """One line for programs."""
        self._stream.write(json.dumps(dict(values, event=kind), sort_keys=True) + "\n")
        self._stream.flush()

    def step(self) -> None:
        self._bar.update(1)

    def progress(self, step: int, epoch: float, lr: float, figures: Dict[str, Any]) -> None:
        """The periodic line: step, lr, loss, angle, accuracy without margin, speed."""
        parts = ["step %d/%d" % (step, self._total), "epoch %.1f" % epoch, "lr %.4g" % lr, "loss %.3f" % figures["loss"]]
        if "target_angle" in figures:
            parts.append("angle %.1f°" % figures["target_angle"])
        if "accuracy" in figures:
            parts.append("accuracy %.1f %%" % (100 * figures["accuracy"]))
        if figures.get("past_pi_minus_m"):
            parts.append("past π−m %d" % figures["past_pi_minus_m"])
        parts.append("%.0f images/s" % figures["images_per_second"])
        parts.append("input wait %.0f %%" % (100 * figures["input_wait_share"]))
        self.say("  ".join(parts))
        self.event("step", step=step, epoch=epoch, lr=lr, **figures)

    def close(self) -> None:
        self._bar.close()
        self._stream.close()
