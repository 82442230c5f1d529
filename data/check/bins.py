"""Check a verification set (.bin): its pairs, folds, balance and images."""

from __future__ import annotations

from typing import Optional

import numpy as np

from arcface_mx.data.bins.draw_pairs import FOLDS
from arcface_mx.data.bins.read import PairSet, read_pairs
from arcface_mx.data.check.eyes import check_eyes, spread
from arcface_mx.data.check.images import scan_pairs
from arcface_mx.data.check.report import SAMPLE, Report
from arcface_mx.data.recordio.problems import Problem
from arcface_mx.util.errors import UserError

MAKE = "make the set again"


def check_pairs(path: str, quick: bool = False, workers: int = 1) -> Report:
    """Check a verification set.

    Parameters
    ----------
    path : str
        A .bin file.
    quick : bool
        Decode 2,000 images, spread evenly, instead of all.
    workers : int
        Child processes that decode.

    Returns
    -------
    Report
        What the set holds and what is wrong with it. If the file is no verification set, that is
        its only problem.
    """
    report = Report(path)
    try:
        pairs = read_pairs(path)
    except UserError as error:
        text = str(error)
        report.problems.append(Problem(text[len(path) + 2 :] if text.startswith(path + ": ") else text, MAKE))
        return report
    report.pairs, same, count = pairs, pairs.same, len(pairs)
    report.table.append(("pairs", f"{count}: {same.sum()} same, {(~same).sum()} different"))
    report.table.append(("images", f"{pairs.num_images} distinct of {2 * count}"))
    _check_folds(same, report)
    _check_pairs_of_one_image(pairs, report)
    _find_repeated_pairs(pairs, report)
    _check_images(pairs, report, SAMPLE if quick else None, workers)
    chosen = set(spread(pairs.num_images).tolist())
    check_eyes((image for number, image in enumerate(pairs.images()) if number in chosen), report, workers)
    return report


def _check_folds(same: np.ndarray, report: Report) -> None:
    if len(same) % FOLDS:
        message = f"{len(same)} pairs do not make {FOLDS} folds of equal size"
        report.problems.append(Problem(message, "published figures are means over ten equal folds; " + MAKE))
        return
    shares = same.reshape(FOLDS, -1).mean(1)
    span = f"{100 * shares.min():.1f} to {100 * shares.max():.1f} %"
    report.table.append(("same pairs in a fold", span))
    if shares.min() == 0 or shares.max() == 1:
        message = f"fold {int(np.argmin(np.minimum(shares, 1 - shares))) + 1} holds pairs of one kind only"
        report.problems.append(Problem(message, "no threshold can be chosen or judged on it; " + MAKE))
    elif abs(same.mean() - 0.5) > 0.01 or np.ptp(shares) > 0.1:
        message = f"{100 * same.mean():.1f} % of the pairs are same pairs, {span} in a fold"
        report.remarks.append(Problem(message, "accuracy assumes that half of the pairs are same pairs"))


def _check_pairs_of_one_image(pairs: PairSet, report: Report) -> None:
    of_one_image = pairs.left == pairs.right
    wrong, trivial = np.flatnonzero(of_one_image & ~pairs.same), np.flatnonzero(of_one_image & pairs.same)
    if len(wrong):
        message = f"pair {wrong[0]} compares an image with itself and calls it different ({len(wrong)} such pairs)"
        report.problems.append(Problem(message, MAKE))
    if len(trivial):
        message = f"pair {trivial[0]} compares an image with itself ({len(trivial)} such pairs)"
        report.remarks.append(Problem(message, "such pairs are right at any threshold"))


def _find_repeated_pairs(pairs: PairSet, report: Report) -> None:
    ends = np.sort(np.stack([pairs.left, pairs.right], 1), 1)
    _, group, counts = np.unique(ends, axis=0, return_inverse=True, return_counts=True)
    group = group.reshape(-1)  # a column in numpy 2.0
    called_same = np.bincount(group, pairs.same)
    contradicts = np.flatnonzero((called_same > 0) & (called_same < counts))
    if len(contradicts):
        first = np.flatnonzero(group == contradicts[0])[0]
        message = f"pair {first} is called same in one place and different in another ({len(contradicts)} such pairs)"
        report.problems.append(Problem(message, MAKE))
    repeated = int((counts - 1).sum())
    if repeated:
        report.remarks.append(Problem(f"{repeated} pairs stand there more than once", "they count more than others"))


def _check_images(pairs: PairSet, report: Report, limit: Optional[int], workers: int) -> None:
    images = scan_pairs(pairs, limit, workers)
    report.mean = images.mean
    report.positions, report.digests = images.positions, images.digests

    def place(number: int) -> str:
        return pairs.describe(number)[len(pairs.path) + 2 :]

    bad = images.undecodable
    if len(bad):
        more = f" (and {len(bad) - 1} more images)" if len(bad) > 1 else ""
        report.problems.append(Problem(f"{place(bad[0])} cannot be decoded{more}", MAKE))
    sizes, counts = np.unique(images.sizes[images.sizes[:, 0] > 0], axis=0, return_counts=True)
    report.table.append(("image size", ", ".join(f"{height}×{width}" for height, width in sizes) or "none"))
    if len(sizes) > 1:
        height, width = rare = sizes[np.argmin(counts)]
        first = images.positions[(images.sizes == rare).all(1)][0]
        message = f"{place(first)} is {height}×{width}, others are not"
        report.problems.append(Problem(message, "align all images to one size"))
