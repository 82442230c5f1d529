"""Plots of the margins: target logits over the angle and decision margins, computed by the builders in symbols/."""

from __future__ import annotations

from typing import Dict, NamedTuple

import numpy as np

from arcface_mx.util.plots import COLOURS, DIFFERENT, SAME, drawing


class Margin(NamedTuple):
    """The name of a curve and the parameters of its builder."""

    name: str
    m1: float = 1.0
    m2: float = 0.0
    m3: float = 0.0
    policy: str = "none"
    a_softmax_m: int = 0  # if not 0: A-Softmax's ψ in place of the combined margin
    lam: float = 0.0  # A-Softmax's λ


# The paper's plot of target logits, and A-Softmax with the last λ of the SphereFace paper.
MARGINS = (
    Margin("Norm-Softmax"),
    Margin("ArcFace (0.5)", m2=0.5),
    Margin("SphereFace (1.35)", m1=1.35),
    Margin("CosFace (0.35)", m3=0.35),
    Margin("CM1 (1, 0.3, 0.2)", m2=0.3, m3=0.2),
    Margin("CM2 (0.9, 0.4, 0.15)", m1=0.9, m2=0.4, m3=0.15),
    Margin("A-Softmax (m = 4, λ = 5)", a_softmax_m=4, lam=5.0),
)
POLICIES = tuple(
    Margin(f"ArcFace (0.5), policy {policy}", m2=0.5, policy=policy) for policy in ("none", "linear", "easy_margin")
) + (
    Margin("SphereFace (1.35), policy none", m1=1.35),
    Margin("A-Softmax (m = 4, λ = 0)", a_softmax_m=4),
)
# A margin has one colour in all panels; its policies differ by the line.
COLOUR_OF = dict(zip(("ArcFace", "SphereFace", "CosFace", "CM1", "CM2", "A-Softmax", "Norm-Softmax"), COLOURS))
LINES = {"linear": "--", "easy_margin": ":"}
# The paper's plot of decision margins.
BOUNDARIES = (
    Margin("Softmax (normalised)"),
    Margin("SphereFace (m = 2)", m1=2.0),
    Margin("CosFace (0.35)", m3=0.35),
    Margin("ArcFace (0.5)", m2=0.5),
)


def target_logits(margin: Margin, degrees: np.ndarray) -> np.ndarray:
    """Target logit / s at each angle: the builder's graph for embeddings at these angles to one class centre."""
    import mxnet as mx

    from arcface_mx import symbols

    x, label, weight, lam = (mx.sym.Variable(name) for name in ("x", "label", "weight", "lam"))
    if margin.a_softmax_m:
        logits = symbols.a_softmax_logits(x, label, 1, margin.a_softmax_m, lam, weight=weight, dtype="float64")
    else:
        m1, m2, m3, policy = margin.m1, margin.m2, margin.m3, margin.policy
        logits = symbols.margin_logits(
            x, label, 1, scale=1.0, m1=m1, m2=m2, m3=m3, policy=policy, weight=weight, dtype="float64"
        )
    angle = np.radians(degrees)
    inputs: Dict[str, np.ndarray] = {
        "x": np.stack([np.cos(angle), np.sin(angle)], axis=1),
        "label": np.zeros(len(angle)),
        "weight": np.array([[1.0, 0.0]]),
        "lam": np.full(len(angle), margin.lam),
    }
    arrays = {name: mx.nd.array(inputs[name], dtype="float64") for name in logits.list_arguments()}
    return logits.bind(mx.cpu(), arrays).forward()[0].asnumpy()[:, 0]


def decision_boundary(margin: Margin, degrees: np.ndarray) -> np.ndarray:
    """The largest θ1 at which class 1 still wins over class 2, for each θ2 in `degrees`; NaN if there is none.

    On the boundary the target logit at θ1 equals cos θ2. With θ1 and θ2 exchanged, this is the
    boundary of class 2.
    """
    grid = np.linspace(0.0, 180.0, 7201)
    logits = target_logits(margin, grid)
    falling = logits[: int(np.argmin(logits)) + 1]  # eq. 4 rises again beyond π; its first branch decides
    cosines = np.cos(np.radians(degrees))
    theta = np.interp(cosines, falling[::-1], grid[: len(falling)][::-1], left=np.nan, right=np.nan)
    return np.where(cosines > falling[0], np.nan, theta)


def draw_target_logits(path: str) -> None:
    """Draw the target logit over θ: from 20° to 100° for all margins, from 0° to 180° for the policies."""
    with drawing(path, 2, 3.9) as axes:
        for axis, margins, low, high in ((axes[0], MARGINS, 20.0, 100.0), (axes[1], POLICIES, 0.0, 180.0)):
            degrees = np.linspace(low, high, 721)
            for margin in margins:
                line = LINES.get(margin.policy, "-")
                colour = COLOUR_OF[margin.name.split(" ")[0]]
                axis.plot(degrees, target_logits(margin, degrees), line, color=colour, label=margin.name)
            axis.set_xlim(low, high)
            axis.set_ylabel("target logit / s")
            axis.legend(loc="lower left")
        axes[0].set_title("all margins")
        axes[1].set_title("where m1·θ + m2 exceeds 180°")
        axes[1].set_xlabel("θ between embedding and class centre, degrees")


def draw_decision_margins(path: str) -> None:
    """Draw which (θ1, θ2) each of two classes claims, and the margin between them."""
    theta = np.linspace(0.0, 90.0, 361)
    with drawing(path, len(BOUNDARIES), 2.4, 2, sharex=True, sharey=True) as axes:
        for number, (axis, margin) in enumerate(zip(axes, BOUNDARIES)):
            boundary = decision_boundary(margin, theta)
            known = np.isfinite(boundary)
            axis.fill_between(theta[known], 0.0, boundary[known], color=SAME, label="class 1", alpha=0.45, linewidth=0)
            axis.fill_betweenx(
                theta[known], 0.0, boundary[known], color=DIFFERENT, label="class 2", alpha=0.45, linewidth=0
            )
            axis.plot([0, 90], [0, 90], color="grey", linewidth=0.7, linestyle=":")
            axis.set_title(margin.name)
            axis.set_xlim(0, 90)
            axis.set_ylim(0, 90)
            axis.set_xticks([0, 30, 60, 90])
            axis.set_yticks([0, 30, 60, 90])
            axis.set_aspect("equal")
            if number >= 2:
                axis.set_xlabel("θ2, degrees")
            if number % 2 == 0:
                axis.set_ylabel("θ1, degrees")
        axes[0].legend(loc="upper left")
