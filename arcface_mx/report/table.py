"""The ablation table of finished runs: the rows of the paper, with measured and printed values."""

from __future__ import annotations

import csv
import io
import os
import re
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, Iterable, List, Optional, Sequence

import numpy as np

from arcface_mx.report.paper import ABLATION, COLUMNS, PaperRow, default_path, find_row, read_rows
from arcface_mx.train.folder import METRICS, read_baselines, read_config, read_data_fingerprint, read_metrics
from arcface_mx.train.snapshot import best_of_run
from arcface_mx.util.errors import UserError
from arcface_mx.util.tables import markdown_table
from arcface_mx.verify.sets import set_name

# Takes the metrics of one flip test; returns a percentage, or None if the set cannot tell.
Metric = Callable[[Dict[str, Any]], Optional[float]]


@dataclass
class TableRow:
    """A row of the table: for each verification set the values of its runs, in %."""

    name: str
    runs: int = 0
    values: Dict[str, List[float]] = field(default_factory=dict)
    paper: Optional[PaperRow] = None


def accuracy(metrics: Dict[str, Any]) -> Optional[float]:
    """Return the ten-fold accuracy.

    Parameters
    ----------
    metrics : dict
        The metrics of one flip test, as in `metrics.json`.

    Returns
    -------
    float
        Accuracy in %.
    """
    return 100.0 * float(metrics["accuracy"])


def tar_at(level: str) -> Metric:
    """Make a metric that returns the true accept rate at a false accept rate.

    Parameters
    ----------
    level : str
        The false accept rate, written as in `metrics.json`: "1e-02".

    Returns
    -------
    callable
        Takes the metrics of one flip test; returns the TAR in %, or None if the set has too few pairs.
    """

    def metric(metrics: Dict[str, Any]) -> Optional[float]:
        value = metrics["tar_at_far"].get(level)
        return None if value is None else 100.0 * float(value)

    return metric


def collect(
    runs: Sequence[str],
    metric: Metric = accuracy,
    flip: str = "none",
    paper: Optional[List[PaperRow]] = None,
    all_rows: bool = False,
) -> List[TableRow]:
    """Collect the rows of the ablation table; the runs of a row differ in their seeds.

    Parameters
    ----------
    runs : sequence of str
        Folders of finished runs.
    metric : callable
        What a cell shows: `accuracy`, or `tar_at` a level.
    flip : {"none", "sum"}
        The flip test whose results are shown.
    paper : list of PaperRow, optional
        The rows of the paper. By default these are the rows of `recipes/paper.csv`.
    all_rows : bool
        Whether rows of the paper without a run are listed too.

    Returns
    -------
    list of TableRow
        Baselines, then rows of the paper in its order, then runs that are no row of it.

    Raises
    ------
    UserError
        If a folder is not a run or the run has not finished.
    """
    paper = read_rows(default_path()) if paper is None else paper
    baselines: Dict[str, TableRow] = {}
    measured = set()  # baselines do not depend on the seed: they count once per method, set and training set
    rows = {row.name: TableRow(row.name, paper=row) for row in paper}
    others: Dict[str, TableRow] = {}
    for run in runs:
        config, results = read_config(run), read_results(run)
        known = find_row(config, paper)
        name = re.sub(r"-seed\d+$", "", os.path.basename(os.path.normpath(run)))
        row = rows[known.name] if known else others.setdefault(name, TableRow(name))
        row.runs += 1
        _add(row, results, metric, flip)
        for result in read_baselines(run):
            key = (result["method"], result["set"], read_data_fingerprint(run))
            if key not in measured:
                measured.add(key)
                _add(baselines.setdefault(key[0], TableRow(key[0])), [result], metric, flip)
    kept = [row for row in rows.values() if row.runs or (all_rows and row.paper and row.paper.table == ABLATION)]
    return list(baselines.values()) + kept + list(others.values())


def read_results(run: str) -> List[Dict[str, Any]]:
    """The results of a finished run on its verification sets, in the order of its `eval`."""
    metrics = read_metrics(run)
    if metrics is None:
        raise UserError(f"{run}: has no {METRICS}; has the run finished? The same train command continues it.")
    names = [set_name(path) for path in read_config(run).data.eval]  # the keys of metrics.json are sorted
    return sorted(
        metrics["sets"].values(),
        key=lambda result: names.index(result["set"]) if result["set"] in names else len(names),
    )


def best_steps(runs: Sequence[str]) -> str:
    """Name the best step of each run that was verified during training, and how it was chosen."""
    lines = []
    for run in runs:
        best = best_of_run(run)
        if best:
            accuracy = f"{100 * best['mean_accuracy']:.2f} %"
            lines.append(f"best step of {run}: {best['step']}, mean accuracy {accuracy}, chosen on the test sets")
    return "\n".join([*lines, "The table shows the last step of each run."] if lines else [])


def _add(row: TableRow, results: Iterable[Dict[str, Any]], metric: Metric, flip: str) -> None:
    for result in results:
        value = metric(result[flip]) if result.get(flip) else None
        if value is not None:
            row.values.setdefault(result["set"], []).append(value)


def set_names(rows: Iterable[TableRow]) -> List[str]:
    """Names of the verification sets, in the order of their first appearance."""
    return list(dict.fromkeys(name for row in rows for name in row.values))


def cells(rows: Sequence[TableRow], paper: bool = True) -> List[List[str]]:
    """The cells of the table, header first: mean ± standard deviation over the runs of a row.

    With `paper`, the last columns hold the accuracies that the paper prints, if it has any.
    """
    sets = set_names(rows)
    columns = [name for name in COLUMNS if paper and any(_printed(row, name) is not None for row in rows)]
    lines = [["row", "runs"] + sets + [column + " (paper)" for column in columns]]
    for row in rows:
        measured = [_mean(row, name) for name in sets]
        lines.append(
            [row.name, str(row.runs or "-")] + measured + [number(_printed(row, column)) for column in columns]
        )
    return lines


def _printed(row: TableRow, column: str) -> Optional[float]:
    return row.paper.figures[column] if row.paper else None


def _mean(row: TableRow, name: str) -> str:
    values = row.values.get(name)
    if not values:
        return "not run" if row.paper and not row.runs else "-"
    if len(values) == 1:
        return number(values[0])
    return f"{np.mean(values):.2f} ± {np.std(values, ddof=1):.2f}"


def number(value: Optional[float]) -> str:
    """Two decimals, or a dash."""
    return "-" if value is None else f"{value:.2f}"


def as_markdown(rows: Sequence[TableRow], paper: bool = True) -> str:
    """Format the ablation table as Markdown.

    Parameters
    ----------
    rows : sequence of TableRow
        What `collect` returned.
    paper : bool
        Whether the accuracies that the paper prints are shown too.

    Returns
    -------
    str
        A line per row.
    """
    return markdown_table(cells(rows, paper))


def as_csv(rows: Sequence[TableRow], paper: bool = True) -> str:
    """The table as CSV."""
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows(cells(rows, paper))
    return stream.getvalue()
