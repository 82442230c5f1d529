"""Check a face set's records: every kind of fault, with the numbers of all records that have it."""

from __future__ import annotations

import time
from typing import List

import numpy as np

from arcface_mx.data.check.images import Images, look_at_images
from arcface_mx.data.check.report import SAMPLE, Report
from arcface_mx.data.recordio.index import RecordIndex
from arcface_mx.data.recordio.problems import Problem

PACK = "pack the images again, or write a cleaned copy: arcface-mx data check --fix"


def check_records(path: str, quick: bool = False, workers: int = 1) -> Report:
    """Check the .rec, .idx and property at `path` (a folder or a .rec file); see RecordIndex.open for what.

    Beyond what opening checks, every image is decoded (a quick check: SAMPLE of them), all must
    have the size that property says, and equal files are looked for. Raises UserError where there
    is nothing to check.
    """
    index = RecordIndex.survey(path)
    start = time.perf_counter()
    images = look_at_images(index, SAMPLE if quick else None, workers)
    seconds = time.perf_counter() - start
    report = Report(index.path, index=index, mean=images.mean)
    # Opening looks at the first image; now all have been looked at.
    seen = {number for number, _, _ in images.wrong_size} | set(images.undecodable)
    report.problems = [p for p in index.problems if not (len(p.records) == 1 and p.records[0] in seen)]
    report.problems += _image_problems(index, images)
    _find_equal_images(index, images, report)
    _count_photos(index, report)
    rate = f"{images.looked_at / max(seconds, 1e-9):.0f} images/s with {workers} threads"
    report.table += [
        ("images", f"{len(index)} in records {index.numbers[0]}…{index.numbers[-1]}"),
        ("identities", f"{index.num_classes}"),
        ("image size", f"{index.height}×{index.width}"),
        ("layout", _layout(index)),
        ("decoded", f"{images.looked_at} of {len(index)}, {rate}"),
    ]
    report.table.sort(key=lambda row: row[0] == "photos of an identity")
    return report


def _layout(index: RecordIndex) -> str:
    parts = (
        [f"header and {len(index.identity_ranges)} identity records"]
        if index.identity_ranges is not None
        else ["plain"]
    )
    parts += [] if index.has_index_file else [".idx missing, rebuilt"]
    parts += [] if index.has_property else ["property missing, taken from the images"]
    return "; ".join(parts)


def _image_problems(index: RecordIndex, images: Images) -> List[Problem]:
    problems = []
    if images.undecodable:
        problems.append(Problem("cannot be decoded as an image", PACK, tuple(images.undecodable), drop=True))
    if images.wrong_size:
        _, height, width = images.wrong_size[0]
        found = f"is {height}×{width} (height×width), but the set's size is {index.height}×{index.width}"
        numbers = tuple(number for number, _, _ in images.wrong_size)
        problems.append(
            Problem(found, "align the images again or correct property; --fix leaves them out", numbers, drop=True)
        )
    return problems


def _find_equal_images(index: RecordIndex, images: Images, report: Report) -> None:
    """Byte-equal images: harmless under one label, a contradiction under two."""
    digests, group, counts = np.unique(images.digests, return_inverse=True, return_counts=True)
    again = np.flatnonzero(counts[group] > 1)
    if not len(again):
        return
    again = again[np.lexsort((images.positions[again], group[again]))]
    positions, groups = images.positions[again], group[again]
    labels = index.labels[positions]
    low, high = np.full(len(digests), np.iinfo(np.int64).max), np.full(len(digests), -1)
    np.minimum.at(low, groups, labels)
    np.maximum.at(high, groups, labels)
    torn = low[groups] != high[groups]
    if torn.any():
        first = int(np.flatnonzero(torn)[0])
        found = f"is byte for byte record {index.numbers[positions[first + 1]]}, but has another label"
        numbers = tuple(np.sort(index.numbers[positions[torn]]).tolist())
        report.problems.append(
            Problem(found, "decide whose photo it is; --fix leaves all of them out", numbers, drop=True)
        )
    copies = ~torn & np.append(False, groups[1:] == groups[:-1])
    if copies.any():
        numbers = tuple(np.sort(index.numbers[positions[copies]]).tolist())
        report.remarks.append(
            Problem("is a copy of another record of its identity", "--fix keeps one", numbers, drop=True)
        )


def _count_photos(index: RecordIndex, report: Report) -> None:
    labels = index.labels[(index.labels >= 0) & (index.labels < min(index.num_classes, 1 << 31))]
    _, counts = np.unique(labels, return_counts=True)
    if not len(counts):
        return
    report.table.append(("photos of an identity", f"{counts.min()} to {counts.max()}, median {np.median(counts):g}"))
    single = int((counts == 1).sum())
    if single:
        found = f"{single} identities have one image"
        report.remarks.append(
            Problem(found, "harmless to softmax losses; tuple losses need two: pack with --min-images 2")
        )
