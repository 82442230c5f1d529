"""Write report.html: what a run reached, how it trained, where it fails and what it was made from."""

from __future__ import annotations

import os
import time
from typing import Dict, Mapping, Optional, Sequence, Tuple

from arcface_mx import __version__
from arcface_mx.config import TrainConfig
from arcface_mx.data.bins.read import read_pairs
from arcface_mx.metrics.similarity import pair_scores
from arcface_mx.metrics.verification import FOLDS
from arcface_mx.model import Embedder
from arcface_mx.model.load import model_file
from arcface_mx.report.page.html_parts import Page
from arcface_mx.report.page.sections import CAPTIONS, MODEL_SECTIONS, SECTIONS, RunReport, Section
from arcface_mx.report.plots.run import draw_pairs, draw_training
from arcface_mx.report.scores import ScoredSet, embed_and_score
from arcface_mx.report.table import read_results
from arcface_mx.train.folder import read_config, read_environment, read_metrics
from arcface_mx.train.snapshot import results_at
from arcface_mx.util.errors import UserError
from arcface_mx.util.files import atomic_write, refuse_unwritable, temporary_directory
from arcface_mx.verify.sets import embed_set, score_set

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
    _write_page(path, page, SECTIONS, report)
    return path


def write_model_report(model: str, embedder: Embedder, sets: Sequence[str], out: str = "") -> str:
    """Write a page about a model that is not a run, whole or not at all.

    Parameters
    ----------
    model : str
        PREFIX,EPOCH or an ONNX file.
    embedder : Embedder
        The model.
    sets : sequence of str
        Paths of the `.bin` sets that are looked at.
    out : str
        The page to write. By default it lies beside the model.

    Returns
    -------
    str
        The path of the page.

    Raises
    ------
    UserError
        If there are no sets or one cannot be read.
    """
    if not sets:
        raise UserError(f"`eval` is missing: {model} is not a run, so name the verification sets to look at")
    path = out or model_file(model, "-report.html")
    refuse_unwritable(path)
    name = os.path.basename(model)
    start, results, scored = time.time(), [], []
    for pairs in [read_pairs(source) for source in sets]:
        embeddings = embed_set(embedder, pairs)
        result = score_set(embedder.name, pairs, embeddings, FOLDS, start)
        scores = pair_scores(embeddings["none"], pairs.left, pairs.right, pairs.path)
        results.append(result.to_json())
        scored.append(ScoredSet(name, result.set, pairs, embeddings["none"], scores))
    with temporary_directory() as folder:
        plots, missing = _draw_plots(None, name, folder, scored)
    report = RunReport(model, TrainConfig(), results, embedder, scored, plots, missing, 0, None)
    page = Page(name, f"arcface-mx {__version__}, input {embedder.convention}. {missing}")
    _write_page(path, page, MODEL_SECTIONS, report)
    return path


def _write_page(path: str, page: Page, sections: Mapping[str, Section], report: RunReport) -> None:
    """Fill the sections of a page and write it, whole or not at all."""
    for title, section in sections.items():
        page.add(title, *section(report))
    with atomic_write(path, "w") as stream:
        stream.write(page.render())


def _draw_plots(
    run: Optional[str], name: str, folder: str, scored: Sequence[ScoredSet]
) -> Tuple[Dict[str, bytes], str]:
    """The PNG of each plot by its name, and why some of them could not be drawn; without `run`, those of pairs."""
    missing = ""
    try:
        draw_pairs(scored, folder)
        if run is not None:
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
