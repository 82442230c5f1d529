"""All pictures of one or several runs, written into a folder."""

from __future__ import annotations

import os
from typing import Any, Callable, List, Optional, Sequence, Tuple

from arcface_mx.report.plots import curves, history, plane
from arcface_mx.report.plots import pairs as pair_figures


def draw_figures(
    runs: Sequence[str],
    names: Sequence[str],
    sets: Sequence[str],
    folder: str,
    load: Callable[[str], Any],
    data: Optional[str] = None,
) -> List[str]:
    """Write every picture that can be drawn of `runs` (called `names`) into `folder`; returns their paths.

    sets: `.bin` sets for the pictures of pairs; load: run → Embedder. Runs with a 2-d embedding also
    get the picture of their plane. Raises UserError where a file is missing.
    """
    named: List[Tuple[str, str]] = list(zip(names, runs))
    paths = {
        key: os.path.join(folder, key + ".png")
        for key in (
            "target_logits",
            "decision_margins",
            "training",
            "angles_in_training",
            "pair_angles",
            "roc",
            "det",
            "plane",
        )
    }
    curves.draw_target_logits(paths["target_logits"])
    curves.draw_boundaries(paths["decision_margins"])
    history.draw_training_curves(named, paths["training"])
    drawn = ["target_logits", "decision_margins", "training"]
    if history.draw_angle_histograms(named, paths["angles_in_training"]):
        drawn.append("angles_in_training")
    embedders = [(name, run, load(run)) for name, run in named]
    scored = [pair_figures.score_pairs(embedder, path, name) for path in sets for name, _, embedder in embedders]
    if scored:
        pair_figures.draw_pair_angles(scored, paths["pair_angles"])
        pair_figures.draw_roc(scored, paths["roc"])
        pair_figures.draw_det(scored, paths["det"])
        drawn += ["pair_angles", "roc", "det"]
    planes = [
        plane.embed_plane(embedder, run, name, data)
        for name, run, embedder in embedders
        if embedder.embedding_size == 2
    ]
    if planes:
        plane.draw_planes(planes, paths["plane"])
        drawn.append("plane")
    return [paths[key] for key in drawn]
