"""Check a data folder before training: its face set and its verification sets."""

from __future__ import annotations

import os
from typing import List

from arcface_mx.data.check.bins import check_pairs
from arcface_mx.data.check.leaks import find_leaks
from arcface_mx.data.check.records import check_records
from arcface_mx.data.check.report import Report
from arcface_mx.data.recordio.manifest import NAME, compare_contents
from arcface_mx.data.recordio.problems import Problem


def check_path(*paths: str, quick: bool = False, workers: int = 1, verify: bool = False) -> List[Report]:
    """Check all data at some paths, and whether verification sets hold images of face sets.

    Parameters
    ----------
    *paths : str
        A folder, whose face set and .bin files are checked, a .rec file, or a .bin file.
    quick : bool
        Decode 2,000 images of each file instead of all.
    workers : int
        Child processes that decode.
    verify : bool
        Also compare the contents of the files with `SHA256SUMS` beside them.

    Returns
    -------
    list of Report
        One report per file, and one of each comparison.

    Raises
    ------
    UserError
        If there is nothing to check, or no `SHA256SUMS` to compare with.
    """
    reports = [report for path in paths for report in _check_one(path, quick, workers)]
    find_leaks(reports)
    return ([_compare_with_manifest(path) for path in paths] if verify else []) + reports


def _check_one(path: str, quick: bool, workers: int) -> List[Report]:
    if path.endswith(".bin"):
        return [check_pairs(path, quick, workers)]
    reports, bins = [], []
    if os.path.isdir(path):
        bins = sorted(os.path.join(path, name) for name in os.listdir(path) if name.endswith(".bin"))
    if not bins or os.path.exists(os.path.join(path, "train.rec")):
        reports.append(check_records(path, quick, workers))
    return reports + [check_pairs(name, quick, workers) for name in bins]


def _compare_with_manifest(path: str) -> Report:
    """Compare the files of a folder, or one file and what belongs to it, with `SHA256SUMS`."""
    folder, names = path, None
    if not os.path.isdir(path):
        folder, name = os.path.split(os.path.abspath(path))
        names = [name, os.path.splitext(name)[0] + ".idx", "property"] if name.endswith(".rec") else [name]
        names = [name for name in names if os.path.exists(os.path.join(folder, name))]
    outcome = compare_contents(folder, names)
    problems = [Problem(f"{name} {text}", "copy it again from its source") for name, text in outcome.items() if text]
    return Report(os.path.join(folder, NAME), [("files compared", str(len(outcome)))], problems)
