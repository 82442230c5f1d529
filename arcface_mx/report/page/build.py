"""Write report.html: what a run reached, how it trained, where it fails and what it was made from."""

from __future__ import annotations

import os
from typing import Dict, Optional, Sequence, Tuple

from arcface_mx.model import Embedder
from arcface_mx.report.page.html_parts import Page
from arcface_mx.report.page.sections import CAPTIONS, SECTIONS, RunReport
from arcface_mx.report.plots.run import draw_pairs, draw_training
from arcface_mx.report.scores import ScoredSet, embed_and_score
from arcface_mx.report.table import read_results
from arcface_mx.train.folder import read_config, read_environment, read_metrics
from arcface_mx.train.snapshot import results_at
from arcface_mx.util.errors import UserError
from arcface_mx.util.files import atomic_write, refuse_unwritable

PAGE = "report.html"
MAX_IMAGES = 2000


def write_report(
    run: str,
    embedder: Embedder,
    sets: Sequence[str] = (),
    max_images: int = MAX_IMAGES,
    out: str = "",
    step: Optional[int] = None,
) -> str:
    """Write a page about a run, whole or not at all.

    Parameters
    ----------
    run : str
        Folder of a finished run.
    embedder : Embedder
        The model of the run.
    sets : sequence of str
        Paths of the `.bin` sets that are looked at. By default these are the run's own, if they
        still exist.
    max_images : int
        How many training images the angle statistics use at most.
    out : str
        The page to write. By default it is `report.html` in the run folder.
    step : int, optional
        Step of the model. By default it is the last one.

    Returns
    -------
    str
        The path of the page.

    Raises
    ------
    UserError
        If the run has not finished, a file cannot be read or `max_images` is not positive.

    Notes
    -----
    The plots are written into the folder of the page too. Where a plot cannot be drawn, for example because
    matplotlib is not installed, the page shows the plot that an earlier command left there.
    """
    if max_images < 1:
        raise UserError(f"`max_images` must be at least 1, got {max_images}")
    path = out or os.path.join(run, PAGE)
    config = read_config(run)
    results = read_results(run) if step is None else results_at(run, step)
    refuse_unwritable(path)
    paths = list(sets) or [path for path in config.data.eval if os.path.exists(path)]
    name = os.path.basename(os.path.normpath(os.path.abspath(run)))
    scored = [embed_and_score(embedder, path, name) for path in paths]
    plots, missing = _draw_plots(run, name, os.path.dirname(path) or ".", scored)
    report = RunReport(run, config, results, embedder, scored, plots, missing, max_images, step)
    commit = str(read_environment(run).get("commit"))[:12]
    shown = (read_metrics(run) or {}).get("step", "unknown") if step is None else step
    page = Page(name, f"arcface-mx run, step {shown}, commit {commit}")
    for title, section in SECTIONS.items():
        page.add(title, *section(report))
    with atomic_write(path, "w") as stream:
        stream.write(page.render())
    return path


def _draw_plots(run: str, name: str, folder: str, scored: Sequence[ScoredSet]) -> Tuple[Dict[str, bytes], str]:
    """The PNG of each plot by its name, and why some of them could not be drawn."""
    missing = ""
    try:
        draw_pairs(scored, folder)
        draw_training([(name, run)], folder)
    except UserError as error:
        missing = str(error)
    plots = {}
    for plot in CAPTIONS:
        path = os.path.join(folder, plot + ".png")
        if os.path.exists(path):
            with open(path, "rb") as stream:
                plots[plot] = stream.read()
    return plots, missing
