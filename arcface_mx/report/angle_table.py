"""The paper's table of angle statistics, with measured and printed values."""

from __future__ import annotations

import csv
import os
from typing import Dict, List, Mapping, Optional, Sequence

from arcface_mx.report.angles import RunAngles
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
        A line per statistic; for each run its value and, if the paper has one, the paper's.
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
                line.append(number(printed.get(line[0].split(",")[0], {}).get(column)))
    return markdown_table(lines)
