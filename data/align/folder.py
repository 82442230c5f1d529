"""Align all images of a folder in several processes. A table accounts for every image."""

from __future__ import annotations

import collections
import csv
import os
from functools import partial
from typing import Dict, Iterator, List, Optional, Sequence, Tuple

import numpy as np

from arcface_mx.data.align.image import UNREADABLE, Alignment, AlignOptions, align_image, open_detector
from arcface_mx.data.align.landmarks import COLUMNS, read_landmarks, refuse_nonsense
from arcface_mx.data.image_files import ALIGN_TABLE as TABLE
from arcface_mx.data.image_files import list_images
from arcface_mx.util.children import in_batches, run_batches
from arcface_mx.util.errors import UserError, printable
from arcface_mx.util.files import atomic_directory, refuse_existing
from arcface_mx.util.progress import progress

BATCH = 8  # images that a child process gets at a time


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
        If there is no image, if no image can be aligned, if the landmark file names no image, if its
        landmarks or those of `options.detector` do not fit faces, or if the detector is not installed.

    Notes
    -----
    The status "several faces" means that the large and central face was aligned, "uncertain" that
    only lower thresholds detected the face, and "small" that the face was enlarged more than twice.
    ``align.csv`` in the new folder lists all images with status, residual, landmarks, crop and note.
    It can be used as a landmark file. No image ends the work: one that cannot be read is a row. If
    the names of two images differ only in their suffix, the crop of the second keeps it
    (``a.png.jpg``).
    """
    options.check()
    refuse_existing(folder)
    if images is None:
        images = list_images(source)
    names = _crop_names(images)
    alignments = []
    with atomic_directory(folder) as temporary:
        for alignment in progress(_align(source, images, options, workers), "aligning", "images", total=len(images)):
            if alignment.crop is not None:
                _write_crop(os.path.join(temporary, names[alignment.path]), alignment.crop)
                alignment = alignment._replace(file=names[alignment.path], crop=None)
            alignments.append(alignment)
        if not any(alignment.is_aligned for alignment in alignments):
            first = alignments[0]
            why = f"{first.status}: {first.note}" if first.note else first.status
            raise UserError(f"{source}: none of the {len(images)} images can be aligned ({first.path}: {why})")
        if options.landmarks or options.detector:
            aligned = [alignment for alignment in alignments if alignment.is_aligned]
            points = np.asarray([alignment.landmarks for alignment in aligned], float)
            place = str(options.landmarks or options.detector)
            refuse_nonsense(points, place, options.max_residual, median_residual(aligned))
        _write_table(os.path.join(temporary, TABLE), alignments)
    return alignments


def median_residual(alignments: Sequence[Alignment]) -> float:
    """Return the median residual of the aligned images, in pixels of the crop."""
    return float(np.median([alignment.residual for alignment in alignments if alignment.is_aligned]))


def sample_crops(folder: str, alignments: Sequence[Alignment], limit: int) -> Iterator[Tuple[str, bytes]]:
    """Yield name and bytes of at most `limit` crops, spread evenly over the aligned images."""
    aligned = [alignment for alignment in alignments if alignment.is_aligned]
    for k in np.unique(np.linspace(0, len(aligned) - 1, min(limit, len(aligned))).round().astype(int)):
        with open(os.path.join(folder, aligned[k].file), "rb") as stream:
            yield aligned[k].path, stream.read()


def _align(source: str, images: Sequence[str], options: AlignOptions, workers: int) -> Iterator[Alignment]:
    landmarks: List[Optional[np.ndarray]] = [None] * len(images)
    if options.landmarks:
        landmarks = _match_landmarks(options.landmarks, images)
    else:
        open_detector(options.min_face, options.detector)  # raises UserError here if there is no detector
    # The images may come from strangers, so they are decoded in child processes, which may die. The
    # detector spends most of its time under Python's global lock, so threads would not help anyway.
    batches = in_batches(zip(images, landmarks), BATCH)
    for results in run_batches(partial(_align_batch, options, source), batches, _crashed, workers):
        yield from results


def _align_batch(
    options: AlignOptions, source: str, batch: Sequence[Tuple[str, Optional[np.ndarray]]]
) -> List[Alignment]:
    return [align_image(path, landmarks, options, source) for path, landmarks in batch]


def _crashed(item: Tuple[str, Optional[np.ndarray]], reason: str) -> List[Alignment]:
    return [Alignment(item[0], UNREADABLE, note=reason)]


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


def _crop_names(images: Sequence[str]) -> Dict[str, str]:
    """The path of each image's crop: a.png gives a.jpg, and a.png.jpg if another image has taken that."""
    names: Dict[str, str] = {}
    taken = set()
    for image in images:
        name = os.path.splitext(image)[0] + ".jpg"
        if name in taken:
            name = image + ".jpg"
        while name in taken:
            name += ".jpg"
        names[image] = name
        taken.add(name)
    return names


def _write_crop(path: str, crop: bytes) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as stream:
        stream.write(crop)


def _write_table(path: str, alignments: Sequence[Alignment]) -> None:
    # The bytes of a file name need not be valid text; they come back when the table is read.
    with open(path, "w", encoding="utf-8", errors="surrogateescape", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(("image", "status", "faces", "residual") + COLUMNS + ("crop", "note"))
        for path, status, num_faces, residual, landmarks, _, file, note in alignments:
            values = [""] * 10 if landmarks is None else [f"{value:.2f}" for value in landmarks.ravel()]
            row = [path.replace(os.sep, "/"), status, num_faces, f"{residual:.2f}", *values]
            writer.writerow([*row, file.replace(os.sep, "/"), printable(note)])
