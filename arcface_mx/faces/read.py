"""Photo files → images of a network's size, in order, several at a time; bad ones are named, not fatal."""

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
from arcface_mx.model.embedder import NARROW_CROP, fit
from arcface_mx.model.graph import Size

AHEAD = 64  # photos read before they are asked for


class Face(NamedTuple):
    """One photo. pixels: uint8 (H, W, 3) RGB of the network's size, None where it has no usable face.

    told: why there is none, or what to know of it ("several faces"); empty when all is well.
    """

    path: str
    pixels: Optional[np.ndarray]
    told: str


def read_faces(paths: Sequence[str], size: Size, align: bool, workers: int = 1) -> Iterator[Face]:
    """The photos in the order of `paths`.

    align: find the face and bring it to the reference points, as `arcface-mx data align` does, in
    processes; else the photo is an aligned crop, decoded in threads. Raises UserError where the
    detector is not installed.
    """
    read: Callable[[str], Face]
    if align:
        Detector()  # tells at once what is missing
        options = AlignOptions(width=96 if size == NARROW_CROP else 112)
        read = partial(_aligned, size, options)
    else:
        read = partial(_crop, size)
    workers = min(workers, len(paths))
    if workers <= 1:
        return map(read, paths)
    return _ahead(read, paths, workers, align)


def _ahead(read: Callable[[str], Face], paths: Sequence[str], workers: int, processes: bool) -> Iterator[Face]:
    # Threads decode side by side; the detector spends its time under Python's lock, and OpenCV's
    # threads do not survive a fork.
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


def _crop(size: Size, path: str) -> Face:
    try:
        with open(path, "rb") as stream:
            pixels = decode_rgb(stream.read())
    except OSError as error:
        return Face(path, None, f"cannot be read: {error.strerror}")
    except ValueError as error:
        return Face(path, None, str(error))
    try:
        return Face(path, fit(pixels, size), "")
    except ValueError as error:
        return Face(path, None, f"{error}; --align finds and crops the face")


def _aligned(size: Size, options: AlignOptions, path: str) -> Face:
    try:
        outcome = align_image(path, None, options)
    except OSError as error:
        return Face(path, None, f"cannot be read: {error.strerror}")
    if not outcome.is_aligned or outcome.crop is None:
        return Face(path, None, outcome.status)
    return Face(path, fit(decode_rgb(outcome.crop), size), "" if outcome.status == "aligned" else outcome.status)
