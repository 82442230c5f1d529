"""The log of a run: messages, and one JSON object an event in log.jsonl."""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
import time
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple

from arcface_mx.train.tensorboard import TensorBoard
from arcface_mx.util.errors import UserError
from arcface_mx.util.json_form import check_form
from arcface_mx.util.progress import MAX_SILENCE, duration, shows_bar
from arcface_mx.verify.sets import SetResult

LOGGER = logging.getLogger(__name__)
LOG = "log.jsonl"
STEPS_OF_ESTIMATE = 10  # after so many steps the log says how long the run will take


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

        self._path = os.path.join(folder, LOG)
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
        self._total, self._step = total_steps, first_step
        self._said = time.monotonic()
        self._clock: List[Tuple[int, float]] = [(first_step, self._said)]  # step and time of where a rate counts from
        self._tensorboard: Optional[TensorBoard] = TensorBoard(folder, first_step) if tensorboard else None

    def say(self, text: str, level: int = logging.INFO) -> None:
        """Log one message. Does nothing if the terminal has been closed."""
        with _terminal_may_be_closed():
            self._bar.clear()
            LOGGER.log(level, text)
            self._bar.refresh()
        self._said = time.monotonic()

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
        """Count one step; say how long the run will take, and how far it is after a long silence."""
        with _terminal_may_be_closed():
            self._bar.update(1)
        self._step += 1
        now = time.monotonic()
        if len(self._clock) == 1:
            self._clock.append((self._step, now))  # the first step also prepares the devices, so the rate leaves it out
        done = self._step - self._clock[0][0]
        if done == STEPS_OF_ESTIMATE and self._seconds_left() > 60.0:
            self.say(f"the remaining {self._total - self._step} steps will take about {self.time_left()}")
        elif now - self._said >= MAX_SILENCE and self._bar.disable:
            self.say(f"step {self._step}/{self._total}  {self.time_left()} left")

    def time_left(self) -> str:
        """Return the expected time to the last step, from the rate of the steps so far."""
        return duration(self._seconds_left())

    def _seconds_left(self) -> float:
        step, since = self._clock[-1] if self._step > self._clock[-1][0] else self._clock[0]
        return (time.monotonic() - since) / max(1, self._step - step) * (self._total - self._step)

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
        parts.append(f"{self.time_left()} left")
        self.say("  ".join(parts))
        self.event("step", step=step, epoch=epoch, lr=lr, **metrics)
        if self._tensorboard:
            self._tensorboard.add(step, dict(metrics, epoch=epoch, lr=lr))

    def verification(self, step: int, results: Sequence[SetResult], say: bool = True) -> None:
        """Print and record the result on each verification set; without `say` only record it."""
        for result in results:
            figures = {"none": result.none, **({"sum": result.sum} if result.sum else {})}
            if say:
                text = ", ".join(f"{100 * value.accuracy:.2f} ± {100 * value.std:.2f}" for value in figures.values())
                self.say(f"step {step}/{self._total}  {result.set}: accuracy {text} % (flip test {', '.join(figures)})")
            self.event("verification", step=step, **result.to_json())
            if self._tensorboard:
                named = {f"{result.set}/accuracy_{flip}": value.accuracy for flip, value in figures.items()}
                self._tensorboard.add(step, named, "verification/")

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


FORMS = {"verification": {"step": int, "set": str, "none": {"accuracy": float}}}  # of events by their kind


def read_events(run: str, kind: str) -> List[Dict[str, Any]]:
    """Return the events of a kind in a run's log, in ascending order of their steps.

    What was logged again after an interruption counts once. Raises UserError if there is no log or a line
    is not JSON, except for the last line, which may be cut off if the run was killed.
    """
    path = os.path.join(run, LOG)
    try:
        with open(path, encoding="utf-8") as stream:
            lines = stream.read().split("\n")
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); is {run} a run folder?")
    events: Dict[Tuple[int, str], Dict[str, Any]] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            event = json.loads(line)
        except ValueError:
            if number == len(lines):
                continue
            raise UserError(f"{path}: line {number} is not JSON")
        try:
            check_form(event, {"event": str})
            if event["event"] == kind:
                check_form(event, FORMS.get(kind, {"step": int, "set?": str}))
                events[event["step"], event.get("set", "")] = event
        except ValueError as error:
            raise UserError(f"{path}: line {number}: {error}") from None
    return sorted(events.values(), key=lambda event: int(event["step"]))


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
