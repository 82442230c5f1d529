"""Align a folder of photos: in processes, every photo accounted for in a table."""

from __future__ import annotations

import collections
import csv
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Any, Iterator, List, Optional, Sequence

import cv2
import numpy as np

from arcface_mx.data.align.detector import Detector
from arcface_mx.data.align.image import AlignOptions, Outcome, align_photo, is_aligned
from arcface_mx.data.align.landmarks import COLUMNS, read_points
from arcface_mx.data.pack.image_list import photos_below
from arcface_mx.util.errors import UserError
from arcface_mx.util.files import atomic_directory
from arcface_mx.util.progress import progress

TABLE = "align.csv"


def align_folder(
    source: str, folder: str, options: AlignOptions, workers: int = 1, photos: Optional[Sequence[str]] = None
) -> List[Outcome]:
    """Align the photos below `source` into the new folder `folder`, under the same paths, as JPEG.

    photos: paths below `source`; None: all.

    A photo's face is the one of its landmarks, or the detected one with the largest area less twice
    its squared distance from the photo's middle (FaceNet's rule). Where none is found, lower
    thresholds are tried. Photos with several faces, with a face found in that second look, and with
    one that had to be enlarged more than twice are aligned and marked; those without a face are not
    written. align.csv lists all with status, residual and points, and can be given as landmarks.
    Returns the outcomes, without images, in the order of the table.

    Raises UserError where there is no photo, none can be aligned, or the detector is not installed.
    """
    options.check()
    if os.path.exists(folder):
        raise UserError(f"{folder}: already there; give another folder or delete it")
    if photos is None:
        photos = photos_below(source)
    outcomes = []
    with atomic_directory(folder) as temporary:
        for outcome in progress(_outcomes(source, photos, options, workers), "aligning", "photos", total=len(photos)):
            if outcome.image is not None:
                _write(os.path.join(temporary, _crop_name(outcome.photo)), outcome.image)
            outcomes.append(outcome._replace(image=None))
        if not any(is_aligned(outcome) for outcome in outcomes):
            raise UserError(
                f"{source}: no photo of {len(photos)} can be aligned ({outcomes[0].photo}: {outcomes[0].status})"
            )
        _write_table(os.path.join(temporary, TABLE), outcomes)
    return outcomes


def _outcomes(source: str, photos: Sequence[str], options: AlignOptions, workers: int) -> Iterator[Outcome]:
    if options.landmarks:
        find = _Landmarks(options.landmarks, photos)
        tasks = [(photo, find(photo)) for photo in photos]
    else:
        Detector(options.min_face)  # tells at once what is missing
        tasks = [(photo, None) for photo in photos]
    work = partial(align_photo, source, options)
    if workers == 1:
        yield from map(work, tasks)
        return
    # Processes: the detector spends most of its time under Python's lock. Spawned: OpenCV's threads
    # do not survive a fork.
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _start_worker) as pool:
        yield from pool.map(work, tasks, chunksize=8)


def _start_worker() -> None:
    cv2.setNumThreads(1)


class _Landmarks:
    """Points by photo: by the path below the source, else by a file name that stands there once."""

    def __init__(self, path: str, photos: Sequence[str]) -> None:
        self._points = read_points(path)
        counts = collections.Counter(os.path.basename(photo) for photo in photos)
        self._unique = {name for name, count in counts.items() if count == 1}
        if not any(self(photo) is not None for photo in photos):
            raise UserError(
                f"{path}: names none of the {len(photos)} photos; its first is {next(iter(self._points))}, theirs {photos[0]}"
            )

    def __call__(self, photo: str) -> Optional[np.ndarray]:
        name = os.path.basename(photo)
        found = self._points.get(photo.replace(os.sep, "/"))
        return self._points.get(name) if found is None and name in self._unique else found


def sample_crops(folder: str, outcomes: Sequence[Outcome], most: int) -> Iterator[bytes]:
    """The crops' bytes, at most `most`, spread evenly over the photos."""
    done = [outcome for outcome in outcomes if is_aligned(outcome)]
    for place in np.unique(np.linspace(0, len(done) - 1, min(most, len(done))).round().astype(int)):
        with open(os.path.join(folder, _crop_name(done[place].photo)), "rb") as stream:
            yield stream.read()


def _crop_name(photo: str) -> str:
    return os.path.splitext(photo)[0] + ".jpg"


def _write(path: str, data: bytes) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if os.path.exists(path):
        raise UserError(f"{os.path.basename(path)}: two photos differ only in their suffix; rename one")
    with open(path, "wb") as stream:
        stream.write(data)


def _write_table(path: str, outcomes: Sequence[Outcome]) -> None:
    with open(path, "w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(("photo", "status", "faces", "residual") + COLUMNS)
        for outcome in outcomes:
            values: List[Any] = [""] * 10 if outcome.points is None else [f"{v:.2f}" for v in outcome.points.ravel()]
            writer.writerow(
                [outcome.photo.replace(os.sep, "/"), outcome.status, outcome.faces, f"{outcome.residual:.2f}"] + values
            )
