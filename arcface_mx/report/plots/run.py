"""All plots of one or several runs, written into a folder."""

from __future__ import annotations

import os
from typing import Dict, List, Optional, Sequence, Tuple

from arcface_mx.model import Embedder
from arcface_mx.report.plots.curves import draw_decision_margins, draw_target_logits
from arcface_mx.report.plots.history import draw_angle_histograms, draw_training_curves
from arcface_mx.report.plots.pairs import draw_det, draw_pair_angles, draw_roc
from arcface_mx.report.plots.plane import draw_planes, embed_plane
from arcface_mx.report.scores import ScoredSet, embed_and_score

Runs = Sequence[Tuple[str, str]]  # (name, run folder) of each run


def draw_plots(
    runs: Runs, embedders: Sequence[Embedder], sets: Sequence[str], folder: str, data: Optional[str] = None
) -> List[str]:
    """Draw every plot of some runs that can be drawn.

    Parameters
    ----------
    runs : sequence of (str, str)
        Name and folder of each run.
    embedders : sequence of Embedder
        The models of the runs.
    sets : sequence of str
        Paths of the `.bin` sets whose pairs are plotted. Without any, there are no plots of pairs.
    folder : str
        Where the PNG files are written.
    data : str, optional
        Training set of the runs with 2-d embeddings. By default it is where the run was trained.

    Returns
    -------
    list of str
        The paths of the files. `plane.png` is only drawn if a run has 2-d embeddings.

    Raises
    ------
    UserError
        If a file cannot be read or matplotlib is not installed.
    """
    logits, margins, plane = (
        os.path.join(folder, name + ".png") for name in ("target_logits", "decision_margins", "plane")
    )
    draw_target_logits(logits)
    draw_decision_margins(margins)
    scores = [embed_and_score(embedder, path, name) for path in sets for (name, _), embedder in zip(runs, embedders)]
    paths = [logits, margins, *draw_training(runs, folder).values(), *draw_pairs(scores, folder).values()]
    planes = [
        embed_plane(embedder, run, name, data)
        for (name, run), embedder in zip(runs, embedders)
        if embedder.embedding_size == 2
    ]
    if planes:
        draw_planes(planes, plane)
        paths.append(plane)
    return paths


def draw_training(runs: Runs, folder: str) -> Dict[str, str]:
    """Draw the plots of the runs' logs; returns the path of each plot by its name."""
    paths = {name: os.path.join(folder, name + ".png") for name in ("training", "angles_in_training")}
    draw_training_curves(runs, paths["training"])
    if not draw_angle_histograms(runs, paths["angles_in_training"]):
        del paths["angles_in_training"]
    return paths


def draw_pairs(scores: Sequence[ScoredSet], folder: str) -> Dict[str, str]:
    """Draw the plots of scored pairs; returns the path of each plot by its name."""
    if not scores:
        return {}
    paths = {name: os.path.join(folder, name + ".png") for name in ("pair_angles", "roc", "det")}
    draw_pair_angles(scores, paths["pair_angles"])
    draw_roc(scores, paths["roc"])
    draw_det(scores, paths["det"])
    return paths
