"""Plots of a run's log: training curves, and the target angles at the start, in the middle and at the end."""

from __future__ import annotations

import os
from typing import Any, Dict, List, Sequence, Tuple

import numpy as np

from arcface_mx.train.log import LOG, read_events
from arcface_mx.util.errors import UserError
from arcface_mx.util.plots import new_figure, save

# The key of a log entry, the title of its panel, and a factor.
CURVES = (
    ("loss", "loss", 1.0),
    ("target_angle", "mean target angle, degrees", 1.0),
    ("accuracy", "training accuracy without margin, %", 100.0),
    ("lr", "learning rate", 1.0),
)


def read_steps(run: str) -> List[Dict[str, Any]]:
    """Return the step events of a run's log in ascending order. Raises UserError if there is none."""
    steps = read_events(run, "step")
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
    figure, axes = new_figure(len(panels), 3.6, 3.2)
    for axis, (name, histograms) in zip(axes, panels):
        for (label, counts), colour in zip(histograms, ("#9aa5b1", "#d18f2c", "#1f4e79")):
            edges = np.linspace(0.0, 180.0, len(counts) + 1)
            axis.stairs(100.0 * counts / max(1, counts.sum()), edges, fill=True, alpha=0.55, color=colour, label=label)
        axis.set_xlim(0, 120)
        axis.set_title(name, fontsize=9)
        axis.set_xlabel("θ between embedding and class centre, degrees", fontsize=8)
        axis.tick_params(labelsize=7)
        axis.legend(fontsize=7)
    axes[0].set_ylabel("% of the training images per 2°", fontsize=8)
    save(figure, path)
    return True


def draw_training_curves(runs: Sequence[Tuple[str, str]], path: str) -> None:
    """Draw loss, target angle, accuracy without margin and learning rate over the steps, one line per run.

    Where a run was verified during training, a panel shows the accuracy on each verification set.
    """
    logs = [(name, read_steps(run)) for name, run in runs]
    verified = [line for name, run in runs for line in _verification_lines(name if len(runs) > 1 else "", run)]
    curves = [curve for curve in CURVES if any(curve[0] in event for _, steps in logs for event in steps)]
    figure, axes = new_figure(len(curves) + bool(verified), 3.4, 3.0)
    for axis, (key, title, factor) in zip(axes, curves):
        for name, steps in logs:
            points = [(event["step"], factor * event[key]) for event in steps if key in event]
            if points:
                axis.plot(*zip(*points), label=name, linewidth=1.3, marker="." if len(points) < 3 else None)
        axis.set_title(title, fontsize=9)
    for label, points in verified:
        axes[-1].plot(*zip(*points), label=label, linewidth=1.3, marker=".")
    if verified:
        axes[-1].set_title("verification accuracy, %", fontsize=9)
        axes[-1].legend(fontsize=7)
    for axis in axes:
        axis.set_xlabel("step", fontsize=8)
        axis.tick_params(labelsize=7)
        axis.grid(alpha=0.25)
    rates = {event["lr"] for _, steps in logs for event in steps if event.get("lr", 0) > 0}
    if len(rates) > 1:
        axes[len(curves) - 1].set_yscale("log")
    axes[0].legend(fontsize=7)
    save(figure, path)


def _verification_lines(name: str, run: str) -> List[Tuple[str, List[Tuple[int, float]]]]:
    """Return a label and (step, accuracy in %) for each set that was verified more than once."""
    lines: Dict[str, List[Tuple[int, float]]] = {}
    for event in read_events(run, "verification"):
        lines.setdefault(event["set"], []).append((event["step"], 100.0 * event["none"]["accuracy"]))
    return [(f"{name} {set_name}".strip(), points) for set_name, points in lines.items() if len(points) > 1]
