"""The ablation table of finished runs: the rows of the paper, with measured and printed values."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, Iterable, List, Optional, Sequence, Set, Tuple

import numpy as np

from arcface_mx.report.grouping import RunGroup, group_runs
from arcface_mx.report.leads import BASE, MARK, sets_in_lead
from arcface_mx.report.paper import ABLATION, COLUMNS, PaperRow, default_path, read_rows, rows_of_table
from arcface_mx.train.folder import (
    METRICS,
    read_baselines,
    read_config,
    read_data_fingerprint,
    read_metrics,
    read_template_results,
)
from arcface_mx.train.snapshot import best_of_run
from arcface_mx.util.errors import UserError
from arcface_mx.util.tables import markdown_table
from arcface_mx.verify.sets import set_name

# Takes the metrics of one flip test; returns a percentage, or None if the set cannot tell.
Metric = Callable[[Dict[str, Any]], Optional[float]]
# A set whose name contains the first word stands under the column of the paper.
COLUMN_OF_SET = (("lfw", "LFW"), ("cfp", "CFP-FP"), ("agedb", "AgeDB-30"), ("ytf", "YTF"))

LEGEND = f"{MARK} above {BASE} beyond noise: the 95 % interval of the difference, over identities and seeds, is above 0"


@dataclass
class TableRow:
    """A row of the table: for each verification set the values of its runs, in %.

    `setting` says with which settings the runs were made, if they were not the paper's. `leads` names
    the sets on which the row's accuracy is above softmax's beyond noise.
    """

    name: str
    runs: int = 0
    values: Dict[str, List[float]] = field(default_factory=dict)
    paper: Optional[PaperRow] = None
    setting: str = ""
    leads: Set[str] = field(default_factory=set)


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

    Notes
    -----
    Runs are averaged if they differ in nothing but their seed. A run belongs to a row of the paper if
    it has every setting of the row's recipe; other runs are named by what differs (`grouping.py`).
    """
    return collect_with_notes(runs, metric, flip, paper, all_rows)[0]


def collect_with_notes(
    runs: Sequence[str],
    metric: Metric = accuracy,
    flip: str = "none",
    paper: Optional[List[PaperRow]] = None,
    all_rows: bool = False,
    table: str = ABLATION,
) -> Tuple[List[TableRow], List[str]]:
    """Return the rows as `collect` does, and a line for each thing in which the runs are not alike.

    `table` is the published table whose rows come first and whose figures are shown.
    """
    paper = rows_of_table(read_rows(default_path()) if paper is None else paper, table)
    # Beside SphereFace's or the journal's table other rows have no figures: they are another table's.
    rows = {row.name: TableRow(row.name, paper=row if table in (ABLATION, row.table) else None) for row in paper}
    others: List[TableRow] = []
    groups, notes = group_runs(runs, paper)
    base = [group for group in groups if group.row and group.row.name == BASE]
    for group in groups:
        row = rows[group.row.name] if group.row else TableRow(group.name)
        row.setting = "" if group.budget.is_paper else "small network"
        if not group.row:
            others.append(row)
        row.runs = len(group.runs)
        for run in group.runs:
            _add(row, read_results(run.folder), metric, flip)
        if group.row and base and metric is accuracy:
            row.leads = sets_in_lead(_folders(group), _folders(base[0]), flip) & set(row.values)
    kept = [row for row in rows.values() if row.runs or (all_rows and row.paper and row.paper.table == table)]
    return _baselines(runs, metric, flip) + kept + others, notes


def _folders(group: RunGroup) -> List[str]:
    return [run.folder for run in group.runs]


def _baselines(runs: Sequence[str], metric: Metric, flip: str) -> List[TableRow]:
    """Baselines do not depend on the seed: they count once for each method, set and training set."""
    rows: Dict[str, TableRow] = {}
    measured = set()
    for run in runs:
        for result in read_baselines(run):
            key = (result["method"], result["set"], read_data_fingerprint(run))
            if key not in measured:
                measured.add(key)
                _add(rows.setdefault(key[0], TableRow(key[0])), [result], metric, flip)
    return list(rows.values())


def read_results(run: str) -> List[Dict[str, Any]]:
    """The results of a finished run on its verification sets, in the order of its `eval`, then of its templates."""
    metrics = read_metrics(run)
    if metrics is None:
        raise UserError(f"{run}: has no {METRICS}; has the run finished? The same train command continues it.")
    names = [set_name(path) for path in read_config(run).data.eval]  # the keys of metrics.json are sorted
    results = sorted(
        metrics["sets"].values(),
        key=lambda result: names.index(result["set"]) if result["set"] in names else len(names),
    )
    return results + list(read_template_results(run).values())


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


def paper_column(name: str) -> Optional[str]:
    """The column of the paper's table that a verification set is compared with."""
    return next((column for word, column in COLUMN_OF_SET if word in name.lower()), None)


def set_names(rows: Iterable[TableRow]) -> List[str]:
    """Names of the verification sets: LFW, CFP-FP, AgeDB-30 and YTF, then others in the order of their appearance."""
    order = [*COLUMNS, None]
    names = dict.fromkeys(name for row in rows for name in row.values)
    return sorted(names, key=lambda name: order.index(paper_column(name)))


def cells(rows: Sequence[TableRow], paper: bool = True, mark: str = "") -> List[List[str]]:
    """The cells of the table, header first: mean ± standard deviation over the runs of a row.

    With `paper`, the last columns hold the accuracies that the paper prints, if it has any. A column
    before them marks rows that were not run with the paper's settings. `mark` follows the values that
    lead softmax beyond noise.
    """
    sets = set_names(rows)
    columns = [name for name in COLUMNS if paper and any(_printed(row, name) != "-" for row in rows)]
    marked = bool(columns) and any(row.paper and row.setting for row in rows)
    lines = [["row", "runs"] + sets + ["setting"] * marked + [column + " (paper)" for column in columns]]
    for row in rows:
        measured = [_mean(row, name) + (" " + mark if mark and name in row.leads else "") for name in sets]
        setting = [(row.setting or "paper") if row.runs else "-"] * marked
        lines.append([row.name, str(row.runs or "-")] + measured + setting + [_printed(row, name) for name in columns])
    return lines


def _printed(row: TableRow, column: str) -> str:
    return row.paper.printed.get(column, "-") if row.paper else "-"


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
    table = markdown_table(cells(rows, paper, MARK))
    return f"{table}\n{LEGEND}" if any(row.leads for row in rows) else table


def as_csv(rows: Sequence[TableRow], paper: bool = True) -> str:
    """The table as CSV."""
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows(cells(rows, paper))
    return stream.getvalue()
