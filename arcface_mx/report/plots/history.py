"""Plots of a run's log: training curves, and the target angles at the start, in the middle and at the end."""

from __future__ import annotations

import os
from typing import Any, Dict, List, Sequence, Tuple

import numpy as np

from arcface_mx.train.log import LOG, read_events
from arcface_mx.util.errors import UserError
from arcface_mx.util.json_form import check_form
from arcface_mx.util.plots import COLOURS, drawing, plot_text

# The key of a log entry, the title of its panel, and a factor.
CURVES = (
    ("loss", "loss", 1.0),
    ("target_angle", "mean target angle, degrees", 1.0),
    ("accuracy", "training accuracy without margin, %", 100.0),
    ("lr", "learning rate", 1.0),
)

_STEP = {"step": int, "target_angle_histogram?": [int], **{f"{key}?": float for key, _, _ in CURVES}}


def read_steps(run: str) -> List[Dict[str, Any]]:
    """Return the step events of a run's log in ascending order. Raises UserError if there is none."""
    steps = read_events(run, "step")
    try:
        check_form(steps, [_STEP], "its step events")
    except ValueError as error:
        raise UserError(f"{os.path.join(run, LOG)}: {error}") from None
    if not steps:
        raise UserError(f"{os.path.join(run, LOG)}: holds no training step yet")
    return steps


def angle_histograms(run: str) -> List[Tuple[str, np.ndarray]]:
    """(name, counts per 2° from 0° to 180°) of the first, the middle and the last log entry of a run.

    The list is empty if the loss has no class centres.
    """
    steps = [event for event in read_steps(run) if "target_angle_histogram" in event]
    if not steps:
        return []
    chosen = {"start": steps[0], "middle": steps[(len(steps) - 1) // 2], "end": steps[-1]}
    return [
        (f"{name}, step {event['step']}", np.asarray(event["target_angle_histogram"])) for name, event in chosen.items()
    ]


def draw_angle_histograms(runs: Sequence[Tuple[str, str]], path: str) -> bool:
    """Draw the target angles of (name, run folder) pairs, one panel per run; False if no run has any."""
    panels = [(name, angle_histograms(run)) for name, run in runs]
    panels = [(name, histograms) for name, histograms in panels if histograms]
    if not panels:
        return False
    with drawing(path, len(panels), 2.9, sharex=True, sharey=True) as axes:
        for axis, (name, histograms) in zip(axes, panels):
            for (label, counts), colour in zip(histograms, (COLOURS[6], COLOURS[4], COLOURS[0])):
                edges = np.linspace(0.0, 180.0, len(counts) + 1)
                share = 100.0 * counts / max(1, counts.sum())
                axis.stairs(share, edges, fill=True, alpha=0.45, color=colour)
                axis.stairs(share, edges, color=colour, linewidth=1.2, label=label)
            axis.set_xlim(0, 120)
            axis.set_title(plot_text(name))
            axis.set_ylabel("% of images per 2°")
            axis.legend(loc="upper left")
        axes[0].set_ylim(0, 1.5 * axes[0].get_ylim()[1])  # the panels share it; the legend needs room
        axes[-1].set_xlabel("θ between embedding and class centre, degrees")
    return True


def draw_training_curves(runs: Sequence[Tuple[str, str]], path: str) -> None:
    """Draw loss, target angle, accuracy without margin and learning rate over the steps, one line per run.

    Where a run was verified during training, a panel shows the accuracy on each verification set.
    """
    logs = [(name, read_steps(run)) for name, run in runs]
    verified = [line for name, run in runs for line in _verification_lines(name if len(runs) > 1 else "", run)]
    curves = [curve for curve in CURVES if any(curve[0] in event for _, steps in logs for event in steps)]
    with drawing(path, len(curves) + bool(verified), 1.9, sharex=True) as axes:
        for axis, (key, title, factor) in zip(axes, curves):
            for name, steps in logs:
                points = [(event["step"], factor * event[key]) for event in steps if key in event]
                if points:
                    axis.plot(*zip(*points), label=plot_text(name), marker="." if len(points) < 20 else None)
            axis.set_title(title)
        for label, points in verified:
            axes[-1].plot(*zip(*points), label=plot_text(label), marker="." if len(points) < 20 else None)
        if verified:
            axes[-1].set_title("verification accuracy, %")
            axes[-1].legend()
        for axis in axes:
            axis.margins(x=0.02)
        rates = {event["lr"] for _, steps in logs for event in steps if event.get("lr", 0) > 0}
        if len(rates) > 1:
            axes[len(curves) - 1].set_yscale("log")
        axes[-1].set_xlabel("step")
        if len(logs) > 1:
            axes[0].legend()
        else:
            axes[0].set_title(f"{plot_text(runs[0][0])}: {curves[0][1]}")


def _verification_lines(name: str, run: str) -> List[Tuple[str, List[Tuple[int, float]]]]:
    """Return a label and (step, accuracy in %) for each set that was verified more than once."""
    lines: Dict[str, List[Tuple[int, float]]] = {}
    for event in read_events(run, "verification"):
        lines.setdefault(event["set"], []).append((event["step"], 100.0 * event["none"]["accuracy"]))
    return [(f"{name} {set_name}".strip(), points) for set_name, points in lines.items() if len(points) > 1]
