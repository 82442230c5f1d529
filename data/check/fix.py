"""Write a cleaned copy of a face set: without unusable records, identities numbered 0…n−1 again."""

from __future__ import annotations

import os
from typing import Any, Dict, Optional

import numpy as np

from arcface_mx.data.check.report import Report
from arcface_mx.data.recordio.index import RecordIndex
from arcface_mx.data.recordio.manifest import write_manifest
from arcface_mx.data.recordio.writer import RecordWriter
from arcface_mx.util.errors import UserError
from arcface_mx.util.files import atomic_directory, write_json
from arcface_mx.util.progress import progress


def write_cleaned(report: Report, folder: str) -> Dict[str, Any]:
    """Copy the usable images of a checked face set into a new folder.

    Images keep their bytes and their order. Labels are numbered anew in their old order.

    Parameters
    ----------
    report : Report
        The result of a full check of a face set.
    folder : str
        The folder to write, which must not exist yet.

    Returns
    -------
    dict
        The contents of `cleaned.json` in the new folder: what was left out and why.

    Raises
    ------
    UserError
        If `folder` exists, if no image is usable, or if the report is of a verification set.
    """
    index = report.index
    if index is None:
        raise UserError(f"{report.path}: is no face set; only a face set can be copied")
    left_out: Dict[int, str] = {}
    for problem in report.problems + report.remarks:
        if problem.drop:
            for number in problem.records:
                left_out.setdefault(number, problem.message)
    kept = ~np.isin(index.numbers, np.fromiter(left_out, np.int64, len(left_out)))
    return copy_records(index, np.flatnonzero(kept), folder, left_out)


def copy_records(
    index: RecordIndex, kept: np.ndarray, folder: str, left_out: Dict[int, str], labels: Optional[np.ndarray] = None
) -> Dict[str, Any]:
    """Write the images at positions `kept` as a new set.

    left_out: {record number: reason}, for `cleaned.json`. labels: of all images of the index, if
    they are not those of the file.
    """
    labels = index.labels if labels is None else labels
    if os.path.exists(folder):
        raise UserError(f"{folder}: already there; give another folder or delete it")
    if not len(kept):
        raise UserError(f"{index.path}: no usable image is left; nothing is written")
    kept = kept[np.argsort(labels[kept], kind="stable")]
    old, new = np.unique(labels[kept], return_inverse=True)
    summary = {
        "source": os.path.basename(index.path),
        "images": len(kept),
        "identities": len(old),
        "left_out": [{"record": number, "why": why} for number, why in sorted(left_out.items())],
        "old_labels": old.tolist(),
    }
    with atomic_directory(folder) as temporary:
        with RecordWriter(temporary, index.height, index.width) as writer:
            copied = progress(zip(new, index.images(kept)), "copying", "images", total=len(kept))
            for label, (_, _, image) in copied:
                writer.add(int(label), image)
        write_json(os.path.join(temporary, "cleaned.json"), summary)
        write_manifest(temporary)
    return summary
