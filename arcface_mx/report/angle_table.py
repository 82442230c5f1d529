"""The paper's table of angle statistics, with measured and printed values."""

from __future__ import annotations

import csv
import os
from typing import Dict, List, Mapping, Optional, Sequence

from arcface_mx.report.angles import RunAngles
from arcface_mx.report.grouping import group_runs
from arcface_mx.report.paper import default_path, find_row, read_rows
from arcface_mx.report.table import number
from arcface_mx.train.folder import read_config
from arcface_mx.util.errors import UserError
from arcface_mx.util.tables import markdown_table

# The column of recipes/paper_angles.csv for a row of recipes/paper.csv.
COLUMN_OF_ROW = {
    "Norm-Softmax (NS)": "NS",
    "ArcFace (0.5)": "ArcFace",
    "NS+Intra": "Intra",
    "NS+Inter": "Inter",
    "Triplet (0.35)": "Triplet",
}
Printed = Mapping[str, Mapping[str, Optional[float]]]


def read_printed() -> Printed:
    """The paper's values by statistic and column, in degrees; None where the paper gives none."""
    path = os.path.join(os.path.dirname(default_path()), "paper_angles.csv")
    try:
        with open(path, encoding="utf-8", newline="") as stream:
            return {
                entry.pop("statistic"): {column: None if text == "-" else float(text) for column, text in entry.items()}
                for entry in csv.DictReader(stream)
            }
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})")
    except (KeyError, ValueError, TypeError) as error:
        raise UserError(f"{path}: is not the paper's table of angles ({error})")


def statistics(angles: RunAngles) -> Dict[str, Optional[float]]:
    """The statistics of a run under the paper's names; Intra2 and Inter2 are followed by the name of the set."""
    centres = angles.centres
    values: Dict[str, Optional[float]] = {
        "W-EC": centres.to_embeddings if centres else None,
        "W-Inter": centres.inter if centres else None,
        "Intra1": angles.train.intra,
        "Inter1": angles.train.inter,
    }
    for name, test in angles.tests.items():
        values["Intra2, " + name] = test.intra
        values["Inter2, " + name] = test.inter
    return values


def angle_table(runs: Sequence[RunAngles]) -> str:
    """Format the statistics of some runs as Markdown, in degrees.

    Parameters
    ----------
    runs : sequence of RunAngles
        What `measure_run` returned for each run.

    Returns
    -------
    str
        A line per statistic; for each run its value and, if the paper has one for its loss, the paper's.
        The paper measured Intra2 and Inter2 on LFW, so that its values stand beside the set "lfw"
        only. A line below the table names runs that do not have the paper's settings.
    """
    paper, printed = read_rows(default_path()), read_printed()
    measured = [statistics(run) for run in runs]
    lines: List[List[str]] = [["degrees"]] + [[name] for name in dict.fromkeys(sum(map(list, measured), []))]
    for run, values in zip(runs, measured):
        row = find_row(read_config(run.run), paper)
        lines[0].append(row.name if row else os.path.basename(os.path.normpath(run.run)))
        for line in lines[1:]:
            line.append(number(values.get(line[0])))
        column = COLUMN_OF_ROW.get(row.name) if row else None
        if column:
            lines[0].append("(paper)")
            for line in lines[1:]:
                line.append(number(_printed(printed, line[0], column)))
    return "\n".join([markdown_table(lines), *_other_settings(runs)])


def _other_settings(runs: Sequence[RunAngles]) -> List[str]:
    """A line for each run beside which the paper's values stand, and which does not have the paper's settings."""
    lines = []
    for run in runs:
        group = group_runs([run.run], read_rows(default_path()))[0][0]
        row = group.runs[0].row
        if row and row.name in COLUMN_OF_ROW and not (group.row and group.budget.is_paper):
            lines.append(f"{group.name}: small network or other settings than the paper's ({group.budget})")
    return ["", *lines] if lines else []


def _printed(printed: Printed, statistic: str, column: str) -> Optional[float]:
    """The paper's value of a statistic; of a test set only if it is LFW."""
    name, _, test = statistic.partition(", ")
    return printed.get(name, {}).get(column) if test.lower() in ("", "lfw") else None
