"""Check a data folder before training: its face set and its verification sets."""

from __future__ import annotations

import os
from typing import List

from arcface_mx.data.check.bins import check_pairs
from arcface_mx.data.check.leaks import find_leaks
from arcface_mx.data.check.records import check_records
from arcface_mx.data.check.report import Report


def check_path(*paths: str, quick: bool = False, workers: int = 1) -> List[Report]:
    """Check all data at some paths, and whether verification sets hold images of face sets.

    Parameters
    ----------
    *paths : str
        A folder, whose face set and .bin files are checked, a .rec file, or a .bin file.
    quick : bool
        Decode 2,000 images of each file instead of all.
    workers : int
        Child processes that decode.

    Returns
    -------
    list of Report
        One report per file.

    Raises
    ------
    UserError
        If there is nothing to check.
    """
    reports = [report for path in paths for report in _check_one(path, quick, workers)]
    find_leaks(reports)
    return reports


def _check_one(path: str, quick: bool, workers: int) -> List[Report]:
    if path.endswith(".bin"):
        return [check_pairs(path, quick, workers)]
    reports, bins = [], []
    if os.path.isdir(path):
        bins = sorted(os.path.join(path, name) for name in os.listdir(path) if name.endswith(".bin"))
    if not bins or os.path.exists(os.path.join(path, "train.rec")):
        reports.append(check_records(path, quick, workers))
    return reports + [check_pairs(name, quick, workers) for name in bins]
