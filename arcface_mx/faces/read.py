"""Read image files at a network's size, in order, several at a time; report unusable files."""

from __future__ import annotations

import collections
import multiprocessing
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from typing import Callable, Deque, Iterator, NamedTuple, Optional, Sequence

import numpy as np

from arcface_mx.data.align.detector import Detector
from arcface_mx.data.align.image import AlignOptions, align_image
from arcface_mx.data.images import decode_rgb
from arcface_mx.model.embedder import NARROW_CROP, resize_to_input
from arcface_mx.model.graph import Size

AHEAD = 64  # images read before they are asked for


class Face(NamedTuple):
    """The face of one image file."""

    path: str
    pixels: Optional[np.ndarray]  # uint8 (height, width, 3) RGB; None without a usable face
    note: str  # why there is no face, or what is unusual ("several faces"), else empty


def read_faces(paths: Sequence[str], size: Size, align: bool, workers: int = 1) -> Iterator[Face]:
    """Read the faces of image files, in the order of `paths`.

    With `align` the face is detected and brought to the reference points, as `arcface-mx data
    align` does, in processes. Otherwise the image is an aligned crop, and is decoded in threads.
    Raises UserError if the detector is not installed.
    """
    read: Callable[[str], Face]
    if align:
        Detector()  # raises now, not in a process, if it is not installed
        read = partial(_read_aligned, size, AlignOptions(width=96 if size == NARROW_CROP else 112))
    else:
        read = partial(_read_crop, size)
    workers = min(workers, len(paths))
    return map(read, paths) if workers <= 1 else _read_ahead(read, paths, workers, align)


def _read_ahead(read: Callable[[str], Face], paths: Sequence[str], workers: int, processes: bool) -> Iterator[Face]:
    # Decoding runs in parallel threads. The detector holds Python's lock, so it needs processes,
    # and these are spawned because OpenCV's threads do not survive a fork.
    pool: Executor = (
        ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _start_worker)
        if processes
        else ThreadPoolExecutor(workers)
    )
    with pool:
        waiting: Deque[Future[Face]] = collections.deque()
        for path in paths:
            waiting.append(pool.submit(read, path))
            if len(waiting) > AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _start_worker() -> None:
    import cv2

    cv2.setNumThreads(1)


def _read_crop(size: Size, path: str) -> Face:
    try:
        with open(path, "rb") as stream:
            pixels = decode_rgb(stream.read())
    except OSError as error:
        return Face(path, None, f"cannot be read: {error.strerror}")
    except ValueError as error:
        return Face(path, None, str(error))
    try:
        return Face(path, resize_to_input(pixels, size), "")
    except ValueError as error:
        return Face(path, None, f"{error}; --align finds and crops the face")


def _read_aligned(size: Size, options: AlignOptions, path: str) -> Face:
    try:
        outcome = align_image(path, None, options)
    except OSError as error:
        return Face(path, None, f"cannot be read: {error.strerror}")
    if not outcome.is_aligned or outcome.crop is None:
        return Face(path, None, outcome.status)
    return Face(
        path, resize_to_input(decode_rgb(outcome.crop), size), "" if outcome.status == "aligned" else outcome.status
    )
