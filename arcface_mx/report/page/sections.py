"""The sections of report.html: each function returns the HTML parts of its section, or none."""

from __future__ import annotations

import os
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence

import numpy as np

from arcface_mx.config import TrainConfig, differences, flag_name
from arcface_mx.metrics.angles import degrees
from arcface_mx.metrics.calibration import PairScores, calibrate
from arcface_mx.model import Embedder
from arcface_mx.report.page import angles, html_parts
from arcface_mx.report.page.hardest import HardPair, hardest_pairs
from arcface_mx.report.paper import default_path, find_row, read_rows
from arcface_mx.report.scores import ScoredSet
from arcface_mx.report.table import collect, number, set_names
from arcface_mx.train.folder import command_line, read_environment
from arcface_mx.train.log import read_events
from arcface_mx.train.snapshot import best_of_run
from arcface_mx.verify.calibration_file import StoredCalibration, calibration_path, read_calibration
from arcface_mx.verify.tables import calibration_notes, calibration_rows

CAPTIONS = {
    "training": "Loss, target angle, accuracy and learning rate during training",
    "angles_in_training": "Angle θ between embeddings and class centres at the start, in the middle and at the end",
    "pair_angles": "Angles of same and of different pairs",
    "roc": "TAR over FAR",
    "det": "False rejections over false acceptances",
}


class RunReport(NamedTuple):
    """What the sections are made from.

    results: of the verification sets, from metrics.json. plots: PNG by name; missing: why some of
    them could not be drawn. step: of the embedder, None for the last one.
    """

    run: str
    config: TrainConfig
    results: List[Dict[str, Any]]
    embedder: Embedder
    scored: Sequence[ScoredSet]
    plots: Dict[str, bytes]
    missing: str
    max_images: int
    step: Optional[int]


def accuracy_section(report: RunReport) -> List[str]:
    """Results on the verification sets, of methods without a network, and in the paper."""
    parts = measured_section(report) or [
        html_parts.paragraph("The run had no verification sets, or was not verified at this step.")
    ]
    parts.append(html_parts.paragraph(_best_note(report.run)))
    baselines = [row for row in collect([report.run]) if not row.runs]
    if baselines:
        names = set_names(baselines)
        lines = [["without a network, %", *names]]
        for row in baselines:
            lines.append([row.name, *(number(*row.values.get(name, [None])) for name in names)])
        parts.append(html_parts.table(lines))
    row_of_paper = find_row(report.config, read_rows(default_path()))
    if row_of_paper:
        values = [f"{name} {value}" for name, value in row_of_paper.printed.items() if value != "-"]
        parts.append(
            html_parts.paragraph(
                f"Row of the paper: {row_of_paper.name}. The paper reports, on other data and with another "
                f"network: {', '.join(values)}."
            )
        )
    return parts


def _best_note(run: str) -> str:
    """Name the best step and how it was chosen; nothing if the run was not verified during training."""
    best = best_of_run(run)
    if not best:
        return ""
    return (
        f"Best step of the run: {best['step']}, with a mean accuracy of {100 * best['mean_accuracy']:.2f} % without "
        "flip test. It is chosen on these very sets, so its accuracy is optimistic. The headline is the last step."
    )


def measured_section(report: RunReport) -> List[str]:
    """Results on the verification sets."""
    if not report.results:
        return []
    return [
        html_parts.table(_accuracy_rows(report.results)),
        html_parts.table(_tar_rows(report.results)),
        html_parts.paragraph(
            "Accuracy is a mean over ten folds, ± the standard deviation over the folds; the threshold "
            "of a fold is chosen on the other folds. TAR at FAR is without flip test."
        ),
    ]


def _accuracy_rows(results: Sequence[Dict[str, Any]]) -> List[List[str]]:
    rows = [["set", "pairs", "accuracy, %", "with flip test, %"]]
    for result in results:
        row = [result["set"], str(result.get("pairs", "-"))]
        for metrics in (result["none"], result.get("sum")):
            row.append(f"{100 * metrics['accuracy']:.2f} ± {100 * metrics['std']:.2f}" if metrics else "-")
        rows.append(row)
    return rows


def _tar_rows(results: Sequence[Dict[str, Any]]) -> List[List[str]]:
    """TAR at each FAR that a set measures. A table of its own fits a phone."""
    levels = [
        far
        for far in results[0]["none"]["tar_at_far"]
        if any(result["none"]["tar_at_far"].get(far) is not None for result in results)
    ]
    rows = [["set", *(f"TAR@{far}" for far in levels)]]
    for result in results:
        tars = [result["none"]["tar_at_far"].get(far) for far in levels]
        rows.append([result["set"], *("-" if tar is None else f"{tar:.4f}" for tar in tars)])
    return rows


def training_section(report: RunReport) -> List[str]:
    """Training curves and target angles."""
    plots = _plots(report, "training", "angles_in_training")
    parts = [html_parts.grid(plots) if plots else "", html_parts.paragraph(report.missing)]
    rows = _verification_rows(report.run)
    return parts + ([html_parts.details("Accuracy during training, %", html_parts.table(rows))] if rows else [])


def _verification_rows(run: str) -> List[List[str]]:
    """Return the accuracy on each set at each step that was verified; none if only the last step was."""
    by_step: Dict[int, Dict[str, float]] = {}
    for event in read_events(run, "verification"):
        by_step.setdefault(event["step"], {})[event["set"]] = 100.0 * event["none"]["accuracy"]
    if len(by_step) < 2:
        return []
    names = sorted({name for accuracies in by_step.values() for name in accuracies})
    rows = [["step", *names, "mean"]]
    for step, accuracies in by_step.items():
        mean = float(np.mean(list(accuracies.values())))
        rows.append([str(step), *(number(accuracies.get(name)) for name in names), number(mean)])
    return rows


def pairs_section(report: RunReport) -> List[str]:
    """Angles of pairs, ROC and DET."""
    plots = _plots(report, "roc", "det", "pair_angles")
    return [html_parts.grid(plots)] if plots and report.scored else []


def _plots(report: RunReport, *names: str) -> List[str]:
    return [html_parts.plot(report.plots[name], CAPTIONS[name]) for name in names if name in report.plots]


def hardest_section(report: RunReport) -> List[str]:
    """The pairs whose score is furthest on the wrong side."""
    parts = []
    for scored in report.scored:
        parts.append(
            html_parts.paragraph(f"{scored.set}: the hardest pairs first. Labels of public sets have errors too.")
        )
        same, different = hardest_pairs(scored.pairs, scored.scores)
        for kind, pairs in (("same identity, least similar", same), ("different identities, most similar", different)):
            parts.append(html_parts.heading(f"{scored.set}: {kind}"))
            parts.append(html_parts.pair_grid([_hard_pair(pair, kind) for pair in pairs]))
    return parts


def _hard_pair(pair: HardPair, kind: str) -> str:
    images = [
        html_parts.image(image, f"{kind}, pair {pair.number}, image {number}")
        for number, image in enumerate((pair.first, pair.second), 1)
    ]
    angle = float(degrees(np.asarray(pair.cosine)))
    return html_parts.pair(images, f"pair {pair.number}: cosine {pair.cosine:.3f}, {angle:.0f}°")


def angles_section(report: RunReport) -> List[str]:
    """Angle statistics of the training set and of the verification sets."""
    rows: List[Sequence[str]] = [angles.HEADER]
    parts, data = [], report.config.data.data
    if os.path.exists(data):
        rows += angles.training_rows(report.run, data, report.embedder, report.max_images, report.step)
    else:
        parts.append(html_parts.paragraph(f"The training set {data} no longer exists, so it is not in the table."))
    for scored in report.scored:
        rows += angles.set_rows(scored)
    return [html_parts.table(rows), *parts] if len(rows) > 1 else parts


def set_angles_section(report: RunReport) -> List[str]:
    """Angle statistics of the verification sets."""
    return [html_parts.table([angles.HEADER, *(row for scored in report.scored for row in angles.set_rows(scored))])]


def thresholds_section(report: RunReport) -> List[str]:
    """The stored calibration; without one, a calibration on the verification sets."""
    path = calibration_path(report.run)
    if report.step is None and os.path.exists(path):
        stored = read_calibration(path, report.run, str(report.embedder.convention))
    elif report.scored:
        same = np.concatenate([scored.scores[scored.same] for scored in report.scored])
        different = np.concatenate([scored.scores[~scored.same] for scored in report.scored])
        names = tuple(scored.set for scored in report.scored)
        stored = StoredCalibration("", names, {"none": calibrate(PairScores(same, different))})
    else:
        return []
    return [html_parts.table(calibration_rows(stored)), *map(html_parts.paragraph, calibration_notes(stored))]


def configuration_section(report: RunReport) -> List[str]:
    """The command, the flags that differ from their defaults, versions, machine and data."""
    environment = read_environment(report.run)
    flags = [("flag", "value", "default")]
    for name, (default, value) in differences(TrainConfig(), report.config).items():
        flags.append((flag_name(name), str(value), str(default)))
    facts = [("what", "value")]
    facts += [(key, str(value)) for key, value in environment.items() if key not in ("data", "command")]
    facts += [(f"data: {key}", str(value)) for key, value in dict(environment.get("data", {})).items()]
    return [
        html_parts.preformatted(command_line(environment)),
        html_parts.table(flags),
        html_parts.details("Versions, machine, data", html_parts.table(facts)),
    ]


Section = Callable[[RunReport], List[str]]
SECTIONS: Dict[str, Section] = {
    "Accuracy": accuracy_section,
    "Training": training_section,
    "Pairs": pairs_section,
    "Hardest pairs": hardest_section,
    "Angles": angles_section,
    "Thresholds": thresholds_section,
    "Configuration": configuration_section,
}
MODEL_SECTIONS: Dict[str, Section] = {
    "Accuracy": measured_section,
    "Pairs": pairs_section,
    "Hardest pairs": hardest_section,
    "Angles": set_angles_section,
    "Thresholds": thresholds_section,
}
