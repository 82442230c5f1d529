"""Images that occur both in a face set and in a verification set."""

from __future__ import annotations

from typing import Sequence

import numpy as np

from arcface_mx.data.check.report import Report
from arcface_mx.data.recordio.problems import Problem

REMEDY = "figures on images that were trained on say nothing; pack the images again, which keeps copies together"


def find_leaks(reports: Sequence[Report]) -> None:
    """Compare all verification sets with all face sets by the hashes of their images.

    Equal images become a problem of the verification set. A quick check compares its samples only.
    """
    for held_out in reports:
        for trained in reports:
            if held_out.pairs is None or trained.index is None:
                continue
            shared = np.isin(held_out.digests, trained.digests) & (held_out.digests != b"")
            if not shared.any():
                continue
            first = int(np.flatnonzero(shared)[0])
            copy = int(np.flatnonzero(trained.digests == held_out.digests[first])[0])
            record = trained.index.numbers[trained.positions[copy]]
            place = held_out.pairs.describe(int(held_out.positions[first]))[len(held_out.path) + 2 :]
            message = f"{place} is byte for byte record {record} of {trained.path} ({shared.sum()} such images)"
            held_out.problems.append(Problem(message, REMEDY))
