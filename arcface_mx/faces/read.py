"""Read image files at a network's size, in order, several at a time; report unusable files."""

from __future__ import annotations

import collections
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Deque, Iterator, List, NamedTuple, Optional, Sequence

import numpy as np

from arcface_mx.data.align.image import SEVERAL, UNREADABLE, Alignment, AlignOptions, align_all, open_detector
from arcface_mx.data.align.placement import MAX_DISTANCE, landmark_offsets
from arcface_mx.data.images import decode_rgb, read_image_file
from arcface_mx.model.embedder import CROP, NARROW_CROP, resize_to_input
from arcface_mx.model.graph import Size
from arcface_mx.util.children import in_batches, run_batches
from arcface_mx.util.errors import UserError

AHEAD = 64  # images read before they are asked for
BATCH = 8  # images that a child process aligns at a time
MAX_DETECTED = 32  # images without `align` in which a face is looked for


class Face(NamedTuple):
    """A face of an image file."""

    path: str
    pixels: Optional[np.ndarray]  # uint8 (height, width, 3) RGB; None without a usable face
    note: str  # why there is no face, or what is unusual ("several faces"), else empty
    number: int = 1  # of the face in its image


def read_faces(
    paths: Sequence[str], size: Size, align: bool, workers: int = 1, all_faces: bool = False
) -> Iterator[Face]:
    """Read the faces of image files, in the order of `paths`.

    With `align` the face is detected and brought to the reference points, as `arcface-mx data
    align` does, in child processes; with `all_faces` too, every face of an image is. Otherwise the
    image is an aligned crop, and is decoded in threads; a note says if it does not look like one.
    Raises UserError if the detector is not installed.
    """
    workers = max(1, min(workers, len(paths)))
    if not align:
        if all_faces:
            raise UserError("`all_faces` needs faces to be detected; set `align` (a gallery keeps the one it has)")
        return _read_crops(paths, size, workers)
    open_detector(AlignOptions().min_face)  # raises here, not in a process, if it is not installed
    return _read_aligned(paths, size, workers, all_faces)


def _read_aligned(paths: Sequence[str], size: Size, workers: int, all_faces: bool) -> Iterator[Face]:
    options = AlignOptions(width=96 if size == NARROW_CROP else 112)
    task = partial(align_all, options, all_faces)
    for results in run_batches(task, in_batches(paths, BATCH), _crashed, workers):
        for alignments in results:
            for number, alignment in enumerate(alignments, 1):
                yield _face(alignment, number, size, all_faces)


def _face(alignment: Alignment, number: int, size: Size, all_faces: bool) -> Face:
    path, count = alignment.path, alignment.num_faces
    if alignment.crop is None:
        return Face(path, None, alignment.note or alignment.status, number)
    note = "" if alignment.status == "aligned" else alignment.status
    if alignment.status == SEVERAL:
        used = f"several faces: the large and central one of {count} is used"
        note = f"face {number} of {count}" if all_faces else used
    return Face(path, resize_to_input(decode_rgb(alignment.crop), size), note, number)


def _crashed(path: str, reason: str) -> List[List[Alignment]]:
    return [[Alignment(path, UNREADABLE, note=reason)]]


def _read_crops(paths: Sequence[str], size: Size, workers: int) -> Iterator[Face]:
    reader = _CropReader(size)
    with ThreadPoolExecutor(workers) as pool:
        waiting: Deque[Future[Face]] = collections.deque()
        for path in paths:
            waiting.append(pool.submit(reader.read, path))
            if len(waiting) > AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


class _CropReader:
    """Reads images that should be aligned crops, and notes those that do not look like it."""

    def __init__(self, size: Size) -> None:
        self._size = size
        self._left = MAX_DETECTED
        self._lock = threading.Lock()  # the detector's networks serve one thread at a time

    def read(self, path: str) -> Face:
        try:
            pixels = decode_rgb(read_image_file(path))
        except ValueError as error:
            return Face(path, None, str(error))
        try:
            return Face(path, resize_to_input(pixels, self._size), self._doubt(pixels))
        except ValueError as error:
            return Face(path, None, f"{error}; --align finds and crops the face")

    def _doubt(self, pixels: np.ndarray) -> str:
        """Why the image may be no aligned crop; empty if it looks like one.

        The detector decides, if it is installed and finds a face. Otherwise the size does.
        """
        height, width = pixels.shape[:2]
        usual = (height, width) in (self._size, CROP, NARROW_CROP)
        offsets = None
        with self._lock:
            if self._left > 0:
                self._left -= 1
                try:
                    offsets = landmark_offsets(pixels, max(20, height // 5))
                except UserError:  # it is not installed
                    self._left = 0
        if offsets is not None:
            distance = float(np.sqrt((offsets**2).sum(1).mean()))
            if distance <= MAX_DISTANCE:
                return ""
            return f"no aligned crop? its face lies {distance:.0f} pixels off; --align finds and crops the face"
        if usual:
            return ""
        return f"no aligned crop? it has {height}×{width} pixels (height×width); --align finds and crops the face"
