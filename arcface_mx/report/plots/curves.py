"""Target-logit curves and decision margins, computed by the symbol builders themselves."""

from __future__ import annotations

from typing import Any, Dict, NamedTuple

import numpy as np


class Margin(NamedTuple):
    """One curve: its name and how a builder makes it."""

    name: str
    m1: float = 1.0
    m2: float = 0.0
    m3: float = 0.0
    policy: str = "none"
    a_softmax_m: int = 0  # not 0: A-Softmax's ψ in the place of the combined margin


# The paper's figure of target logits, and SphereFace of its own paper with its last λ.
MARGINS = (
    Margin("Norm-Softmax"),
    Margin("ArcFace (0.5)", m2=0.5),
    Margin("SphereFace (1.35)", m1=1.35),
    Margin("CosFace (0.35)", m3=0.35),
    Margin("CM1 (1, 0.3, 0.2)", m2=0.3, m3=0.2),
    Margin("CM2 (0.9, 0.4, 0.15)", m1=0.9, m2=0.4, m3=0.15),
    Margin("A-Softmax (m = 4, λ = 5)", a_softmax_m=4),
)
POLICIES = tuple(
    Margin(f"ArcFace (0.5), policy {policy}", m2=0.5, policy=policy) for policy in ("none", "linear", "easy_margin")
) + (
    Margin("SphereFace (1.35), policy none", m1=1.35),
    Margin("A-Softmax (m = 4, λ = 0)", a_softmax_m=-4),
)
# The paper's figure of decision margins.
BOUNDARIES = (
    Margin("Softmax (normalised)"),
    Margin("SphereFace (m = 2)", m1=2.0),
    Margin("CosFace (0.35)", m3=0.35),
    Margin("ArcFace (0.5)", m2=0.5),
)


def target_logits(margin: Margin, degrees: np.ndarray) -> np.ndarray:
    """Target logit / s at each angle: the builder's own graph on embeddings at these angles to one centre."""
    import mxnet as mx

    from arcface_mx import symbols

    x, label, weight = (mx.sym.Variable(name) for name in ("x", "label", "weight"))
    inputs: Dict[str, Any] = {}
    if margin.a_softmax_m:
        lam = 5.0 if margin.a_softmax_m > 0 else 0.0
        inputs["lam"] = mx.nd.full((len(degrees),), lam, dtype="float64")
        logits = symbols.a_softmax_logits(
            x, label, 1, abs(margin.a_softmax_m), mx.sym.Variable("lam"), weight=weight, dtype="float64"
        )
    else:
        logits = symbols.margin_logits(
            x,
            label,
            1,
            scale=1.0,
            m1=margin.m1,
            m2=margin.m2,
            m3=margin.m3,
            policy=margin.policy,
            weight=weight,
            dtype="float64",
        )
    angle = np.radians(degrees)
    inputs["x"] = mx.nd.array(np.stack([np.cos(angle), np.sin(angle)], axis=1), dtype="float64")
    inputs["label"] = mx.nd.zeros((len(degrees),), dtype="float64")
    inputs["weight"] = mx.nd.array([[1.0, 0.0]], dtype="float64")
    used = {name: inputs[name] for name in logits.list_arguments()}
    return logits.bind(mx.cpu(), used).forward()[0].asnumpy()[:, 0]


def boundary(margin: Margin, degrees: np.ndarray) -> np.ndarray:
    """The largest θ1 at which class 1 still wins, for each θ2 = `degrees` (two classes); NaN where none.

    The boundary is target logit(θ1) = cos θ2. With θ1 and θ2 exchanged it is that of class 2.
    """
    grid = np.linspace(0.0, 180.0, 7201)
    curve = target_logits(margin, grid)
    falling = curve[: int(np.argmin(curve)) + 1]  # eq. 4 rises again past π; its first branch decides
    reversed_grid = grid[: len(falling)][::-1]
    wanted = np.cos(np.radians(degrees))
    found = np.interp(wanted, falling[::-1], reversed_grid, left=np.nan, right=np.nan)
    return np.where(wanted > falling[0], np.nan, found)


def draw_target_logits(path: str) -> None:
    """Target logit over θ: 20° to 100° for all margins, 0° to 180° for the policies."""
    from arcface_mx.util.plots import new_figure, save

    figure, axes = new_figure(2, 5.2, 4.2)
    for axis, margins, (low, high) in ((axes[0], MARGINS, (20.0, 100.0)), (axes[1], POLICIES, (0.0, 180.0))):
        degrees = np.linspace(low, high, 721)
        for margin in margins:
            dashed = "--" if margin.policy != "none" else "-"
            axis.plot(degrees, target_logits(margin, degrees), dashed, label=margin.name, linewidth=1.5)
        axis.set_xlabel("θ between embedding and its own class centre, degrees")
        axis.set_xlim(low, high)
        axis.grid(alpha=0.25)
        axis.legend(fontsize=7)
    axes[0].set_ylabel("target logit / s")
    axes[0].set_title("all margins", fontsize=10)
    axes[1].set_title("where m1·θ + m2 passes 180°", fontsize=10)
    save(figure, path)


def draw_boundaries(path: str) -> None:
    """Decision margins of two classes: which (θ1, θ2) each class claims, and the gap between."""
    from arcface_mx.util.plots import new_figure, save

    figure, axes = new_figure(len(BOUNDARIES), 2.9, 3.1)
    theta = np.linspace(0.0, 90.0, 361)
    for axis, margin in zip(axes, BOUNDARIES):
        first = boundary(margin, theta)
        known = np.isfinite(first)
        axis.fill_between(theta[known], 0.0, first[known], color="#1f4e79", alpha=0.35, linewidth=0, label="class 1")
        axis.fill_betweenx(theta[known], 0.0, first[known], color="#c0504d", alpha=0.35, linewidth=0, label="class 2")
        axis.plot([0, 90], [0, 90], color="grey", linewidth=0.7, linestyle=":")
        axis.set_title(margin.name, fontsize=9)
        axis.set_xlabel("θ2, degrees", fontsize=8)
        axis.set_xlim(0, 90)
        axis.set_ylim(0, 90)
        axis.set_aspect("equal")
        axis.tick_params(labelsize=7)
    axes[0].set_ylabel("θ1, degrees", fontsize=8)
    axes[0].legend(fontsize=7, loc="upper left")
    save(figure, path)
