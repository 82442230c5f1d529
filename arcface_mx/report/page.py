"""One HTML page that tells a run: what it reached, how it trained, where it fails, what it was made from."""

from __future__ import annotations

import os
from functools import partial
from typing import Any, Callable, Dict, List, NamedTuple, Sequence, Tuple

import numpy as np

from arcface_mx.config import TrainConfig, differences, flag_name
from arcface_mx.data.bins.read import PairSet, read_pairs
from arcface_mx.metrics.calibration import PairScores, calibrate
from arcface_mx.metrics.similarity import pair_scores
from arcface_mx.model import Embedder
from arcface_mx.report import page_angles
from arcface_mx.report import page_html as html
from arcface_mx.report.hardest import HardPair, hardest_pairs
from arcface_mx.report.paper import default_path, find_row, read_rows
from arcface_mx.report.plots import history
from arcface_mx.report.plots import pairs as pair_figures
from arcface_mx.report.table import accuracy, collect
from arcface_mx.train.folder import command_line, read_config, read_environment, read_metrics
from arcface_mx.util.errors import UserError
from arcface_mx.util.files import atomic_write
from arcface_mx.util.progress import progress
from arcface_mx.verify.calibration_file import (
    StoredCalibration,
    calibration_path,
    read_calibration,
)
from arcface_mx.verify.sets import set_name
from arcface_mx.verify.tables import calibration_notes, calibration_rows

PAGE = "report.html"
MAX_PHOTOS = 2000  # of the training set, for angle statistics
PICTURES = {
    "training": "Loss, target angle, accuracy and learning rate over the steps",
    "angles_in_training": "Angle θ between embeddings and their own class centres at the start, middle and end",
    "pair_angles": "Angles of same and of different pairs",
    "roc": "TAR over FAR",
    "det": "False rejections over false acceptances",
}


class Scored(NamedTuple):
    """A verification set under the run's model, without flip test."""

    pairs: PairSet
    embeddings: np.ndarray
    drawn: pair_figures.ScoredPairs


def write_report(run: str, embedder: Embedder, sets: Sequence[str] = (), most: int = MAX_PHOTOS) -> str:
    """Write RUN/report.html, whole or not at all; returns its path.

    sets: verification sets to look at; none: the run's own, those that are still there. Pictures that
    `arcface-mx figures` left in the run folder are taken, missing ones drawn (with matplotlib).
    Raises UserError where the run has not finished.
    """
    config, metrics = read_config(run), read_metrics(run)
    if metrics is None:
        raise UserError(f"{run}: has no metrics.json; has the run finished? The same train command goes on with it.")
    paths = list(sets) or [path for path in config.data.eval if os.path.exists(path)]
    scored = [_score(embedder, path) for path in paths]
    pictures, missing = _pictures(run, scored)
    page = _sections(run, config, metrics, embedder, scored, pictures, missing, most)
    name = os.path.basename(os.path.normpath(run))
    told = f"arcface-mx run, step {metrics['step']}, commit {str(read_environment(run).get('commit'))[:12]}"
    text = html.document(name, told, list(page.values()), list(page))
    path = os.path.join(run, PAGE)
    with atomic_write(path, "w") as stream:
        stream.write(text)
    return path


def _score(embedder: Embedder, path: str) -> Scored:
    pairs, name = read_pairs(path), set_name(path)
    embeddings = embedder.embed(progress(pairs.pixels(), name, "image", pairs.num_images))
    scores = pair_scores(embeddings, pairs.left, pairs.right, path)
    return Scored(pairs, embeddings, pair_figures.ScoredPairs("this run", name, scores, np.asarray(pairs.same, bool)))


def _pictures(run: str, scored: Sequence[Scored]) -> Tuple[Dict[str, bytes], str]:
    """(PNG by name, why some could not be drawn anew). They are left in the run folder, as `figures` does."""
    drawn, named = [one.drawn for one in scored], [("this run", run)]
    makers: Dict[str, Callable[[str], Any]] = {
        "training": partial(history.draw_training_curves, named),
        "angles_in_training": partial(history.draw_angle_histograms, named),
    }
    if drawn:
        makers["pair_angles"] = partial(pair_figures.draw_pair_angles, drawn)
        makers["roc"] = partial(pair_figures.draw_roc, drawn)
        makers["det"] = partial(pair_figures.draw_det, drawn)
    found: Dict[str, bytes] = {}
    missing = ""
    for name in PICTURES:
        path = os.path.join(run, name + ".png")
        try:
            if name in makers:
                makers[name](path)
        except UserError as error:  # no matplotlib, no log: pictures that are there still serve
            missing = str(error)
        if os.path.exists(path):
            with open(path, "rb") as stream:
                found[name] = stream.read()
    return found, missing


def _sections(
    run: str,
    config: TrainConfig,
    metrics: Dict[str, Any],
    embedder: Embedder,
    scored: Sequence[Scored],
    pictures: Dict[str, bytes],
    missing: str,
    most: int,
) -> Dict[str, str]:
    def shown(*names: str) -> List[str]:
        return [html.picture(pictures[name], PICTURES[name]) for name in names if name in pictures]

    sections = {
        "Accuracy": _accuracy(run, config, metrics),
        "Training": "".join(shown("training", "angles_in_training")) + (html.paragraph(missing) if missing else ""),
        "Pairs": html.pictures(shown("pair_angles", "roc", "det")) * bool(scored),
        "Hardest pairs": "\n".join(_hardest(one) for one in scored),
        "Angles": _angles(run, config, embedder, scored, most),
        "Thresholds": _thresholds(run, scored),
        "Configuration": _configuration(run, config),
    }
    return {title: html.section(title, body) for title, body in sections.items() if body}


def _accuracy(run: str, config: TrainConfig, metrics: Dict[str, Any]) -> str:
    paper = read_rows(default_path()) if os.path.exists(default_path()) else []
    row, results = find_row(config, paper), list(metrics["sets"].values())
    levels = [
        far
        for far in (results[0]["none"]["tar_at_far"] if results else ())
        if any(result["none"]["tar_at_far"][far] is not None for result in results)
    ]
    rows = [["set", "pairs", "accuracy, %", "flip test, %"] + [f"TAR@{far}" for far in levels]]
    for result in results:
        cells = [
            f"{100 * metrics['accuracy']:.2f} ± {100 * metrics['std']:.2f}" if metrics else "-"
            for metrics in (result["none"], result["sum"])
        ]
        tars = [result["none"]["tar_at_far"][far] for far in levels]
        rows.append(
            [result["set"], str(result["pairs"])] + cells + ["-" if tar is None else f"{tar:.4f}" for tar in tars]
        )
    parts = [html.table(rows) if results else html.paragraph("The run had no verification sets.")]
    parts.append(
        html.paragraph(
            "Accuracy over ten folds, the threshold of a fold chosen on the others; ± is over the folds. TAR at FAR: without flip test."
        )
    )
    baselines = [line for line in collect([run], paper, accuracy) if not line.runs]
    if baselines:
        names = list(dict.fromkeys(name for line in baselines for name in line.values))
        lines = [
            [line.name] + [f"{line.values[name][0]:.2f}" if name in line.values else "-" for name in names]
            for line in baselines
        ]
        parts.append(html.table([["without a network, %"] + names] + lines))
    if row:
        figures = ", ".join(f"{name} {value:.2f}" for name, value in row.figures.items() if value is not None)
        parts.append(
            html.paragraph(f"Row of the paper: {row.name}. Printed there (other data, another network): {figures}.")
        )
    return "\n".join(parts)


def _hardest(one: Scored) -> str:
    same, different = hardest_pairs(one.pairs, one.drawn.scores)
    told = ("one person, least alike", "two people, most alike")
    grids = [_grid(pairs, kind) for pairs, kind in zip((same, different), told)]
    text = f"{one.drawn.set}: pairs on the wrong side first. Labels of public sets have errors too."
    return html.paragraph(text) + "".join(f"<h3>{one.drawn.set}, {kind}</h3>{grid}" for kind, grid in zip(told, grids))


def _grid(pairs: Sequence[HardPair], told: str) -> str:
    cells = []
    for pair in pairs:
        images = [
            html.image(photo, _kind(photo), f"{told}, pair {pair.number}, photo {place}")
            for place, photo in enumerate((pair.first, pair.second), 1)
        ]
        angle = np.degrees(np.arccos(np.clip(pair.cosine, -1, 1)))
        cells.append([images[0] + images[1], f"pair {pair.number}: cosine {pair.cosine:.3f}, {angle:.0f}°"])
    return html.pair_grid(cells)


def _kind(photo: bytes) -> str:
    return "png" if photo[:4] == b"\x89PNG" else "jpeg"


def _angles(run: str, config: TrainConfig, embedder: Embedder, scored: Sequence[Scored], most: int) -> str:
    rows: List[Sequence[str]] = [page_angles.HEADER]
    note = ""
    if os.path.exists(config.data.data):
        rows += page_angles.training_rows(run, config.data.data, embedder, most)
    else:
        note = html.paragraph(f"The training photos, {config.data.data}, are not there: no figures of them.")
    for one in scored:
        rows += page_angles.set_rows(one.drawn.set, one.embeddings, one.pairs.left, one.pairs.right, one.drawn.same)
    return html.table(rows) * (len(rows) > 1) + note


def _thresholds(run: str, scored: Sequence[Scored]) -> str:
    """The stored calibration; else what the run's sets say."""
    if os.path.exists(calibration_path(run)):
        stored = read_calibration(calibration_path(run), run)
    elif scored:
        same = np.concatenate([one.drawn.scores[one.drawn.same] for one in scored])
        different = np.concatenate([one.drawn.scores[~one.drawn.same] for one in scored])
        stored = StoredCalibration(
            "", tuple(one.drawn.set for one in scored), {"none": calibrate(PairScores(same, different))}
        )
    else:
        return ""
    return html.table(calibration_rows(stored)) + "".join(map(html.paragraph, calibration_notes(stored)))


def _configuration(run: str, config: TrainConfig) -> str:
    environment = read_environment(run)
    rows = [("flag", "value", "default")]
    rows += [
        (flag_name(name), str(value), str(default))
        for name, (default, value) in differences(TrainConfig(), config).items()
    ]
    facts = [("what", "value")] + [
        (key, str(value)) for key, value in environment.items() if key not in ("data", "command")
    ]
    facts += [("data: " + key, str(value)) for key, value in dict(environment.get("data", {})).items()]
    shown = command_line(environment)
    return (
        html.preformatted(shown) * bool(shown)
        + html.table(rows)
        + html.details("Versions, machine, data", html.table(facts))
    )
