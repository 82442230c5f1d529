"""The paper's angle table, measured beside printed."""

from __future__ import annotations

import csv
import os
from typing import Dict, List, Optional, Sequence

from arcface_mx.report.paper import default_path
from arcface_mx.util.errors import UserError
from arcface_mx.verify.angles import RunAngles

PRINTED_FILE = "paper_angles.csv"
# The paper's columns by the row of recipes/paper.csv that trained them.
COLUMN_OF_ROW = {
    "Norm-Softmax (NS)": "NS",
    "ArcFace (0.5)": "ArcFace",
    "NS+Intra": "Intra",
    "NS+Inter": "Inter",
    "Triplet (0.35)": "Triplet",
}


def read_printed(path: Optional[str] = None) -> Dict[str, Dict[str, Optional[float]]]:
    """{statistic: {loss: degrees, None where not given}} of the paper."""
    path = path or os.path.join(os.path.dirname(default_path()), PRINTED_FILE)
    try:
        with open(path, encoding="utf-8", newline="") as stream:
            return {
                entry.pop("statistic"): {loss: None if text == "-" else float(text) for loss, text in entry.items()}
                for entry in csv.DictReader(stream)
            }
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})")
    except (KeyError, ValueError, TypeError) as error:
        raise UserError(f"{path}: not the paper's angle table ({error})")


def statistics(angles: RunAngles) -> Dict[str, Optional[float]]:
    """One run's figures under the paper's names; Intra2 and Inter2 carry their set's name."""
    centres = angles.centres
    found: Dict[str, Optional[float]] = {
        "W-EC": centres.to_embeddings if centres else None,
        "W-Inter": centres.inter if centres else None,
        "Intra1": angles.train.intra,
        "Inter1": angles.train.inter,
    }
    for name, test in angles.tests.items():
        found["Intra2, " + name] = test.intra
        found["Inter2, " + name] = test.inter
    return found


def as_markdown(
    runs: Sequence[RunAngles], rows: Sequence[Optional[str]], printed: Dict[str, Dict[str, Optional[float]]]
) -> str:
    """A table in degrees: a line a statistic, for each run its figure and the paper's, where it has one.

    rows: for each run the row of the paper's table that it is, None where it is none.
    """
    measured = [statistics(run) for run in runs]
    columns = [COLUMN_OF_ROW.get(row) if row else None for row in rows]
    header = ["degrees"]
    for run, row, column in zip(runs, rows, columns):
        header += [row or os.path.basename(os.path.normpath(run.run))] + (["(paper)"] if column else [])
    lines: List[List[str]] = [header]
    for name in dict.fromkeys(name for figures in measured for name in figures):
        line = [name]
        for figures, column in zip(measured, columns):
            line.append(_text(figures.get(name)))
            if column:
                line.append(_text(printed.get(name.split(",")[0], {}).get(column)))
        lines.append(line)
    widths = [max(len(line[place]) for line in lines) for place in range(len(header))]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join("| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths)) + " |" for line in lines)


def _text(value: Optional[float]) -> str:
    return "-" if value is None else f"{value:.2f}"
