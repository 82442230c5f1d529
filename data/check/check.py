"""Validate a data folder before any training: its face set and its verification sets."""

from __future__ import annotations

import os
from typing import List

from arcface_mx.data.check.bins import check_pairs
from arcface_mx.data.check.records import check_records
from arcface_mx.data.check.report import Report


def check_path(path: str, quick: bool = False, workers: int = 1) -> List[Report]:
    """Reports on a folder (its face set and all its .bin files), a .rec file or a .bin file."""
    if path.endswith(".bin"):
        return [check_pairs(path, quick)]
    reports, bins = [], []
    if os.path.isdir(path):
        bins = sorted(os.path.join(path, name) for name in os.listdir(path) if name.endswith(".bin"))
    if not bins or os.path.exists(os.path.join(path, "train.rec")):
        reports.append(check_records(path, quick, workers))
    return reports + [check_pairs(name, quick) for name in bins]
