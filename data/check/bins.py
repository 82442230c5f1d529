"""Validate a verification set (.bin): pairs, folds, balance, images."""

from __future__ import annotations

from typing import Dict, List, Optional, Tuple

import numpy as np

from arcface_mx.data.bins.read import PairSet, read_pairs
from arcface_mx.data.check.report import SAMPLE, Report
from arcface_mx.data.images import decode_or_none
from arcface_mx.data.recordio.problems import Problem
from arcface_mx.util.errors import UserError
from arcface_mx.util.progress import progress

FOLDS = 10
MAKE = "make the set again"


def check_pairs(path: str, quick: bool = False) -> Report:
    """Check a .bin file. A file that is no verification set gives a report with that one problem."""
    report = Report(path)
    try:
        pairs = read_pairs(path)
    except UserError as error:
        text = str(error)
        report.problems.append(Problem(text[len(path) + 2 :] if text.startswith(path + ": ") else text, MAKE))
        return report
    same, count = pairs.same, len(pairs)
    report.table.append(("pairs", f"{count}: {same.sum()} same, {(~same).sum()} different"))
    report.table.append(("images", f"{pairs.num_images} distinct of {2 * count}"))
    if count % FOLDS:
        found = f"{count} pairs do not make {FOLDS} folds of equal size"
        report.problems.append(Problem(found, "published figures are means over ten equal folds; " + MAKE))
    else:
        shares = same.reshape(FOLDS, -1).mean(1)
        report.table.append(("same pairs in a fold", f"{100 * shares.min():.1f} to {100 * shares.max():.1f} %"))
        if shares.min() == 0 or shares.max() == 1:
            found = f"fold {int(np.argmin(np.minimum(shares, 1 - shares))) + 1} holds pairs of one kind only"
            report.problems.append(Problem(found, "no threshold can be chosen or judged on it; " + MAKE))
        elif abs(same.mean() - 0.5) > 0.01 or np.ptp(shares) > 0.1:
            found = f"{100 * same.mean():.1f} % of the pairs are same pairs, {100 * shares.min():.1f} to {100 * shares.max():.1f} % in a fold"
            report.remarks.append(Problem(found, "accuracy is meant for one half of each kind"))
    itself = pairs.left == pairs.right
    wrong = np.flatnonzero(itself & ~same)
    if len(wrong):
        found = f"pair {wrong[0]} compares an image with itself and calls it different ({len(wrong)} such pairs)"
        report.problems.append(Problem(found, MAKE))
    if (itself & same).any():
        at = np.flatnonzero(itself & same)
        found = f"pair {at[0]} compares an image with itself ({len(at)} such pairs)"
        report.remarks.append(Problem(found, "such pairs are right at any threshold"))
    _find_repeated_pairs(pairs.left, pairs.right, same, report)
    _look_at_images(pairs, report, SAMPLE if quick else pairs.num_images)
    return report


def _find_repeated_pairs(left: np.ndarray, right: np.ndarray, same: np.ndarray, report: Report) -> None:
    ends = np.stack([np.minimum(left, right), np.maximum(left, right)], 1)
    _, group, counts = np.unique(ends, axis=0, return_inverse=True, return_counts=True)
    group = group.reshape(-1)  # numpy 2.0 gives a column
    says_same = np.bincount(group, same)
    torn = np.flatnonzero((says_same > 0) & (says_same < counts))
    if len(torn):
        found = (
            f"pair {np.flatnonzero(group == torn[0])[0]} is called same in one place and different in "
            f"another ({len(torn)} such pairs)"
        )
        report.problems.append(Problem(found, MAKE))
    repeated = int((counts - 1).sum())
    if repeated:
        report.remarks.append(Problem(f"{repeated} pairs stand there more than once", "they count more than others"))


def _look_at_images(pairs: PairSet, report: Report, most: int) -> None:
    step = -(-pairs.num_images // most)
    sizes: Dict[Tuple[int, int], List[int]] = {}
    bad: List[int] = []
    total: Optional[np.ndarray] = None
    count = 0
    for number, image in enumerate(progress(pairs.images(), report.path, "images", total=pairs.num_images)):
        if number % step:
            continue
        pixels = decode_or_none(image)
        if pixels is None:
            bad.append(number)
            continue
        sizes.setdefault((pixels.shape[0], pixels.shape[1]), []).append(number)
        if total is None:
            total = np.zeros(pixels.shape)
        if total.shape == pixels.shape:
            total, count = total + pixels[:, :, ::-1], count + 1
    if bad:
        place = pairs.describe(bad[0])[len(pairs.path) + 2 :]
        more = f" (and {len(bad) - 1} more images)" if len(bad) > 1 else ""
        report.problems.append(Problem(f"{place} cannot be decoded{more}", MAKE))
    report.mean = total / count if total is not None else None
    report.table.append(("image size", ", ".join("%d×%d" % size for size in sorted(sizes)) or "none"))
    if len(sizes) > 1:
        rare = min(sizes, key=lambda size: len(sizes[size]))
        place = pairs.describe(sizes[rare][0])[len(pairs.path) + 2 :]
        report.problems.append(
            Problem("%s is %d×%d, others are not" % ((place,) + rare), "align all images to one size")
        )
