"""The log of a run: messages, and one JSON object an event in log.jsonl."""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
from typing import Any, Dict, Iterator, Optional

from arcface_mx.train.tensorboard import TensorBoard
from arcface_mx.util.errors import UserError
from arcface_mx.util.progress import shows_bar

LOGGER = logging.getLogger(__name__)


class RunLog:
    """Logs messages and appends events to log.jsonl, with a progress bar on a terminal.

    Parameters
    ----------
    folder : str
        The run folder.
    total_steps, first_step : int
    tensorboard : bool
        Also write TensorBoard's event files.
    """

    def __init__(self, folder: str, total_steps: int, first_step: int, tensorboard: bool = False) -> None:
        from tqdm import tqdm

        self._path = os.path.join(folder, "log.jsonl")
        _cut_torn_line(self._path)
        self._stream = open(self._path, "a", encoding="utf-8")
        self._bar = tqdm(
            total=total_steps,
            initial=first_step,
            unit="step",
            disable=not shows_bar(),
            dynamic_ncols=True,
            leave=False,
        )
        self._total = total_steps
        self._tensorboard: Optional[TensorBoard] = TensorBoard(folder, first_step) if tensorboard else None

    def say(self, text: str, level: int = logging.INFO) -> None:
        """Log one message. Does nothing if the terminal has been closed."""
        with _terminal_may_be_closed():
            self._bar.clear()
            LOGGER.log(level, text)
            self._bar.refresh()

    def warn(self, text: str) -> None:
        """Log and record a warning. An empty text is no warning."""
        if text:
            self.say(text, logging.WARNING)
            self.event("warning", text=text)

    def event(self, kind: str, **values: Any) -> None:
        """Append one event. Raises UserError if the disk takes no more."""
        try:
            self._stream.write(json.dumps(dict(values, event=kind), sort_keys=True) + "\n")
            self._stream.flush()
        except OSError as error:
            raise UserError(
                f"{self._path}: cannot be written ({error.strerror}); the checkpoints are untouched"
            ) from error

    def step(self) -> None:
        """Move the progress bar by one step."""
        with _terminal_may_be_closed():
            self._bar.update(1)

    def progress(self, step: int, epoch: float, lr: float, metrics: Dict[str, Any]) -> None:
        """Log and record the metrics since the last progress line."""
        parts = [f"step {step}/{self._total}", f"epoch {epoch:.1f}", f"lr {lr:.4g}"]
        parts.append(f"loss {metrics['loss']:.3f}" if "loss" in metrics else "no finite batch")
        if "target_angle" in metrics:
            parts.append(f"angle {metrics['target_angle']:.1f}°")
        if "accuracy" in metrics:
            parts.append(f"accuracy {100 * metrics['accuracy']:.1f} %")
        if metrics.get("past_pi_minus_m"):
            parts.append(f"past π−m {metrics['past_pi_minus_m']}")
        parts.append(f"{metrics['images_per_second']:.0f} images/s")
        parts.append(f"input wait {100 * metrics['input_wait_share']:.0f} %")
        self.say("  ".join(parts))
        self.event("step", step=step, epoch=epoch, lr=lr, **metrics)
        if self._tensorboard:
            self._tensorboard.add(step, dict(metrics, epoch=epoch, lr=lr))

    def close(self) -> None:
        """Close all files."""
        with _terminal_may_be_closed():
            self._bar.close()
        if self._tensorboard:
            self._tensorboard.close()
        with contextlib.suppress(OSError):  # `event` has reported it
            self._stream.close()


@contextlib.contextmanager
def _terminal_may_be_closed() -> Iterator[None]:
    """Ignore the error of writing to a closed terminal. Its SIGHUP makes the run save a checkpoint and end."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.EIO:
            raise


def _cut_torn_line(path: str) -> None:
    """Remove what a killed process left of its last line."""
    if not os.path.isfile(path):
        return
    with open(path, "r+b") as stream:
        end = stream.seek(0, os.SEEK_END)
        while end > 0:
            start = max(0, end - (1 << 16))
            stream.seek(start)
            newline = stream.read(end - start).rfind(b"\n")
            if newline >= 0:
                stream.truncate(start + newline + 1)
                return
            end = start
        stream.truncate(0)
