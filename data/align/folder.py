"""Align all images of a folder in several processes. A table accounts for every image."""

from __future__ import annotations

import collections
import csv
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Iterator, List, Optional, Sequence

import cv2
import numpy as np

from arcface_mx.data.align.detector import Detector
from arcface_mx.data.align.image import Alignment, AlignOptions, align_image
from arcface_mx.data.align.landmarks import COLUMNS, read_landmarks
from arcface_mx.data.image_files import list_images
from arcface_mx.util.errors import UserError
from arcface_mx.util.files import atomic_directory, refuse_existing
from arcface_mx.util.progress import progress

TABLE = "align.csv"


def align_folder(
    source: str, folder: str, options: AlignOptions, workers: int = 1, images: Optional[Sequence[str]] = None
) -> List[Alignment]:
    """Align the images below `source` and write the crops, as JPEG, into a new folder.

    Parameters
    ----------
    source : str
        Folder of the images. Its sub-folders are kept.
    folder : str
        The new folder. It appears when it is complete.
    options : AlignOptions
        How the images are aligned.
    workers : int
        Number of processes. It does not influence the result.
    images : sequence of str, optional
        Paths of the images, relative to `source`. The default is all images.

    Returns
    -------
    list of Alignment
        One entry per image, without the crop.

    Raises
    ------
    UserError
        If there is no image, if no image can be aligned, if the landmark file names no image, or if
        the detector is not installed.

    Notes
    -----
    The status "several faces" means that the large and central face was aligned, "uncertain" that
    only lower thresholds detected the face, and "small" that the face was enlarged more than twice.
    ``align.csv`` in the new folder lists all images with status, residual and landmarks. It can be
    used as a landmark file.
    """
    options.check()
    refuse_existing(folder)
    if images is None:
        images = list_images(source)
    alignments = []
    with atomic_directory(folder) as temporary:
        for alignment in progress(_align(source, images, options, workers), "aligning", "images", total=len(images)):
            if alignment.crop is not None:
                _write_crop(os.path.join(temporary, _crop_name(alignment.path)), alignment.crop)
            alignments.append(alignment._replace(crop=None))
        if not any(alignment.is_aligned for alignment in alignments):
            first = alignments[0]
            raise UserError(f"{source}: none of the {len(images)} images can be aligned ({first.path}: {first.status})")
        _write_table(os.path.join(temporary, TABLE), alignments)
    return alignments


def sample_crops(folder: str, alignments: Sequence[Alignment], limit: int) -> Iterator[bytes]:
    """Yield the bytes of at most `limit` crops, spread evenly over the aligned images."""
    aligned = [alignment for alignment in alignments if alignment.is_aligned]
    for k in np.unique(np.linspace(0, len(aligned) - 1, min(limit, len(aligned))).round().astype(int)):
        with open(os.path.join(folder, _crop_name(aligned[k].path)), "rb") as stream:
            yield stream.read()


def _align(source: str, images: Sequence[str], options: AlignOptions, workers: int) -> Iterator[Alignment]:
    landmarks: List[Optional[np.ndarray]] = [None] * len(images)
    if options.landmarks:
        landmarks = _match_landmarks(options.landmarks, images)
    else:
        Detector(options.min_face)  # raises UserError in this process if the detector is not installed
    align = partial(align_image, options=options, source=source)
    if workers == 1:
        yield from map(align, images, landmarks)
        return
    # The detector spends most of its time under Python's global lock, so threads would not help.
    # The processes are spawned because OpenCV's threads do not survive a fork.
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), cv2.setNumThreads, (1,)) as pool:
        yield from pool.map(align, images, landmarks, chunksize=8)


def _match_landmarks(path: str, images: Sequence[str]) -> List[Optional[np.ndarray]]:
    """Find the landmarks of each image by its path or, if it is unique, by its file name."""
    landmarks = read_landmarks(path)
    counts = collections.Counter(os.path.basename(image) for image in images)
    matches = []
    for image in images:
        name = os.path.basename(image)
        by_name = landmarks.get(name) if counts[name] == 1 else None
        matches.append(landmarks.get(image.replace(os.sep, "/"), by_name))
    if all(match is None for match in matches):
        raise UserError(
            f"{path}: names none of the {len(images)} images; its first name is {next(iter(landmarks))}, "
            f"that of the images {images[0]}"
        )
    return matches


def _crop_name(path: str) -> str:
    return os.path.splitext(path)[0] + ".jpg"


def _write_crop(path: str, crop: bytes) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if os.path.exists(path):
        raise UserError(f"{os.path.basename(path)}: the names of two images differ only in their suffix; rename one")
    with open(path, "wb") as stream:
        stream.write(crop)


def _write_table(path: str, alignments: Sequence[Alignment]) -> None:
    with open(path, "w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(("image", "status", "faces", "residual") + COLUMNS)
        for path, status, num_faces, residual, landmarks, _ in alignments:
            values = [""] * 10 if landmarks is None else [f"{value:.2f}" for value in landmarks.ravel()]
            writer.writerow([path.replace(os.sep, "/"), status, num_faces, f"{residual:.2f}"] + values)
