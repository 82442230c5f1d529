"""Check a face set: find every kind of fault, with the numbers of all records that have it."""

from __future__ import annotations

from typing import List

import numpy as np

from arcface_mx.data.check.eyes import check_eyes, spread
from arcface_mx.data.check.images import Images, readable_images, scan_records
from arcface_mx.data.check.report import SAMPLE, Report
from arcface_mx.data.recordio.index import RecordIndex
from arcface_mx.data.recordio.problems import Problem

PACK = "pack the images again, or write a cleaned copy: arcface-mx data check --fix"


def check_records(path: str, quick: bool = False, workers: int = 1) -> Report:
    """Check the .rec, .idx and property files of a face set.

    Beyond what `RecordIndex.open` checks, every image is decoded, all images must have the stated
    size, and byte-equal images are searched for.

    Parameters
    ----------
    path : str
        A folder with train.rec, or a .rec file.
    quick : bool
        Decode 2,000 images, spread evenly, instead of all.
    workers : int
        Child processes that decode.

    Returns
    -------
    Report
        What the set holds and what is wrong with it.

    Raises
    ------
    UserError
        If there is nothing to check.
    """
    index = RecordIndex.survey(path)
    images = scan_records(index, SAMPLE if quick else None, workers)
    problems = list(index.problems) + _image_problems(index, images)
    report = Report(index.path, problems=problems, index=index, mean=images.mean)
    report.positions, report.digests = images.positions, images.digests
    _find_equal_images(index, images, report)
    report.table += [
        ("images", f"{len(index)} in records {index.numbers[0]}…{index.numbers[-1]}"),
        ("identities", f"{index.num_classes}"),
        ("image size", f"{index.height}×{index.width}"),
        ("layout", _layout(index)),
        ("decoded", f"{len(images.positions)} of {len(index)}, in {workers} process{'es' if workers > 1 else ''}"),
    ]
    _count_images(index, report)
    check_eyes(readable_images(index, spread(len(index))), report, workers)
    return report


def _layout(index: RecordIndex) -> str:
    ranges = index.identity_ranges
    parts = ["plain" if ranges is None else f"header and {len(ranges)} identity records"]
    parts += [] if index.has_index_file else [".idx missing, rebuilt"]
    parts += [] if index.has_property else ["property missing, taken from the images"]
    return "; ".join(parts)


def _image_problems(index: RecordIndex, images: Images) -> List[Problem]:
    problems = []
    if len(images.undecodable):
        numbers = tuple(index.numbers[images.undecodable].tolist())
        problems.append(Problem("cannot be decoded as an image", PACK, numbers, drop=True))
    other = (images.sizes[:, 0] > 0) & (images.sizes != (index.height, index.width)).any(1)
    if other.any():
        height, width = images.sizes[other][0]
        message = f"is {height}×{width} (height×width), but the set's size is {index.height}×{index.width}"
        remedy = "align the images again or correct property; --fix leaves them out"
        problems.append(Problem(message, remedy, tuple(index.numbers[images.positions[other]].tolist()), drop=True))
    return problems


def _find_equal_images(index: RecordIndex, images: Images, report: Report) -> None:
    """Byte-equal images are harmless with one label and a contradiction with two."""
    digests, group, counts = np.unique(images.digests, return_inverse=True, return_counts=True)
    repeated = np.flatnonzero((counts[group] > 1) & (images.digests != b""))
    repeated = repeated[np.lexsort((images.positions[repeated], group[repeated]))]
    positions, group = images.positions[repeated], group[repeated]
    labels, numbers = index.labels[positions], index.numbers[positions]
    low, high = np.full(len(digests), np.iinfo(np.int64).max), np.full(len(digests), -1)
    np.minimum.at(low, group, labels)
    np.maximum.at(high, group, labels)
    contradicts = low[group] != high[group]
    if contradicts.any():
        first = int(np.flatnonzero(contradicts)[0])
        message = f"is byte for byte record {numbers[first + 1]}, but has another label"
        remedy = "decide whose image it is; --fix leaves all of them out"
        records = tuple(np.sort(numbers[contradicts]).tolist())
        report.problems.append(Problem(message, remedy, records, drop=True))
    copies = ~contradicts & (np.diff(group, prepend=-1) == 0)
    if copies.any():
        records = tuple(np.sort(numbers[copies]).tolist())
        report.remarks.append(
            Problem("is a copy of another record of its identity", "--fix keeps one", records, drop=True)
        )


def _count_images(index: RecordIndex, report: Report) -> None:
    labels = index.labels[(index.labels >= 0) & (index.labels < min(index.num_classes, 1 << 31))]
    _, counts = np.unique(labels, return_counts=True)
    if not len(counts):
        return
    report.table.append(("images of an identity", f"{counts.min()} to {counts.max()}, median {np.median(counts):g}"))
    single = int((counts == 1).sum())
    if single:
        remedy = "harmless to softmax losses; tuple losses need two: pack with --min-images 2"
        report.remarks.append(Problem(f"{single} identities have one image", remedy))
