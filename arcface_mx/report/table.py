"""The ablation table from run folders: rows of the paper, measured beside printed."""

from __future__ import annotations

import csv
import io
import os
import re
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

import numpy as np

from arcface_mx.report.paper import ABLATION, COLUMNS, PaperRow, find_row
from arcface_mx.train.folder import METRICS, read_baselines, read_config, read_data_fingerprint, read_metrics
from arcface_mx.util.errors import UserError
from arcface_mx.verify.sets import set_name

# (metrics of one flip test) → a percentage, None where the set cannot tell
Figure = Callable[[Dict[str, Any]], Optional[float]]


@dataclass
class TableRow:
    """One line: values[set] has one figure in % a run."""

    name: str
    runs: int = 0
    values: Dict[str, List[float]] = field(default_factory=dict)
    paper: Optional[PaperRow] = None


def accuracy(metrics: Dict[str, Any]) -> Optional[float]:
    """Ten-fold accuracy in %."""
    return 100.0 * float(metrics["accuracy"])


def tar_at(level: str) -> Figure:
    """TAR in % at a FAR level written as in metrics.json, such as "1e-02"."""

    def figure(metrics: Dict[str, Any]) -> Optional[float]:
        value = metrics["tar_at_far"].get(level)
        return None if value is None else 100.0 * float(value)

    return figure


def collect(
    runs: Sequence[str], paper: List[PaperRow], figure: Figure, flip: str = "none", all_rows: bool = False
) -> List[TableRow]:
    """Baselines, then the rows of paper.csv in its order, then runs that are no row of it, seeds together.

    flip: the flip test, "none" or "sum". all_rows: the paper's rows without a run are listed too. Raises UserError where
    a run has not finished.
    """
    baselines: Dict[str, TableRow] = {}
    measured = set()  # baselines do not depend on the seed: once a method, set and training data
    rows: Dict[str, TableRow] = {row.name: TableRow(row.name, paper=row) for row in paper}
    others: Dict[str, TableRow] = {}
    for run in runs:
        metrics = read_metrics(run)
        if metrics is None:
            raise UserError(f"{run}: has no {METRICS}; has the run finished? The same train command goes on with it.")
        config = read_config(run)
        known = find_row(config, paper)
        row = rows[known.name] if known else others.setdefault(_name(run), TableRow(_name(run)))
        row.runs += 1
        _add(row, _in_order(metrics["sets"], config.data.eval), figure, flip)
        for result in read_baselines(run):
            entry = baselines.setdefault(result["method"], TableRow(result["method"]))
            key = (result["method"], result["set"], read_data_fingerprint(run))
            if key not in measured:
                measured.add(key)
                _add(entry, [result], figure, flip)
    kept = [row for row in rows.values() if row.runs or (all_rows and row.paper and row.paper.table == ABLATION)]
    return list(baselines.values()) + kept + list(others.values())


def _in_order(sets: Dict[str, Any], paths: Sequence[str]) -> List[Any]:
    """Results in the order of the run's --eval; metrics.json has its keys sorted."""
    names = [set_name(path) for path in paths]
    return sorted(
        sets.values(), key=lambda result: names.index(result["set"]) if result["set"] in names else len(names)
    )


def _name(run: str) -> str:
    return re.sub(r"-seed\d+$", "", os.path.basename(os.path.normpath(run)))


def _add(row: TableRow, results: Any, figure: Figure, flip: str) -> None:
    for result in results:
        value = figure(result[flip]) if result.get(flip) else None
        if value is not None:
            row.values.setdefault(result["set"], []).append(value)


def _cells(rows: List[TableRow], paper: bool) -> Tuple[List[str], List[List[str]]]:
    sets = set_names(rows)
    columns = _printed(rows) if paper else []
    header = ["row", "runs"] + sets + [column + " (paper)" for column in columns]
    body = []
    for row in rows:
        measured = [_mean(row.values.get(name), row) for name in sets]
        figures = row.paper.figures if row.paper else {}
        body.append([row.name, str(row.runs or "-")] + measured + [_figure(figures.get(column)) for column in columns])
    return header, body


def _printed(rows: List[TableRow]) -> List[str]:
    """The columns of the printed tables in which one of these rows has a figure."""
    return [column for column in COLUMNS if any(row.paper and row.paper.figures[column] is not None for row in rows)]


def set_names(rows: List[TableRow]) -> List[str]:
    """Names of the measured sets, in the order of their first appearance."""
    return list(dict.fromkeys(name for row in rows for name in row.values))


def _mean(values: Optional[List[float]], row: TableRow) -> str:
    if not values:
        return "not run" if row.paper and not row.runs else "-"
    if len(values) == 1:
        return f"{values[0]:.2f}"
    return f"{np.mean(values):.2f} ± {np.std(values, ddof=1):.2f}"


def _figure(value: Optional[float]) -> str:
    return "-" if value is None else f"{value:.2f}"


def as_markdown(rows: List[TableRow], paper: bool = True) -> str:
    """A Markdown table whose columns line up in plain text too; `paper`: with the paper's accuracies."""
    header, body = _cells(rows, paper)
    widths = [max(len(line[column]) for line in [header] + body) for column in range(len(header))]
    lines = [[cell.ljust(width) for cell, width in zip(line, widths)] for line in [header] + body]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def as_csv(rows: List[TableRow], paper: bool = True) -> str:
    """The same cells as CSV."""
    header, body = _cells(rows, paper)
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(body)
    return stream.getvalue()
