"""Chunks: the images of a few identities each, rendered by one or several processes into files.

The files are in a hidden work folder beside the result. A run after an interruption uses the
chunks that are complete. `plan.json` in that folder states their settings, versions and code.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import functools
import importlib.metadata
import multiprocessing
import multiprocessing.connection
import os
import shutil
import signal
import threading
import zipfile
from typing import Any, Dict, Iterator, List, NamedTuple, Sequence, Tuple

import cv2
import numpy as np

from arcface_mx.data.rendered import makehuman
from arcface_mx.data.rendered.head import Head
from arcface_mx.data.rendered.identity import draw_identity
from arcface_mx.data.rendered.kernels import source_fingerprint
from arcface_mx.data.rendered.options import RenderOptions
from arcface_mx.data.rendered.renderer import Renderer
from arcface_mx.data.rendered.sampling import image_stream
from arcface_mx.data.rendered.sets import TEST_KINDS, TRAINING, Kind
from arcface_mx.util.errors import UserError
from arcface_mx.util.files import atomic_write, read_json, write_json
from arcface_mx.util.locks import lock_folder

CHUNK_SIZE = 10  # identities
Key = Tuple[Kind, int, int]  # of an image: kind, identity, number


class Chunk(NamedTuple):
    """At most CHUNK_SIZE identities of the training set or of the verification sets."""

    part: str  # "train" or "test"
    first: int  # number of the first identity
    identities: int
    images: int  # of one identity and kind

    @property
    def kinds(self) -> Tuple[Kind, ...]:
        return (TRAINING,) if self.part == "train" else TEST_KINDS

    @property
    def num_images(self) -> int:
        return self.identities * self.images * len(self.kinds)

    @property
    def keys(self) -> List[Key]:
        """The keys of the images, in the order of the file."""
        return [
            (kind, identity, number)
            for identity in range(self.first, self.first + self.identities)
            for kind in self.kinds
            for number in range(self.images)
        ]

    def path(self, work: str) -> str:
        return os.path.join(work, f"{self.part}-{self.first:07d}-{self.identities}.npz")


def chunks_of(options: RenderOptions) -> List[Chunk]:
    """All chunks of a data set, the training identities first."""
    parts = (("train", options.identities, options.images), ("test", options.test_identities, options.test_images))
    return [
        Chunk(part, first, min(CHUNK_SIZE, identities - first), images)
        for part, identities, images in parts
        for first in range(0, identities, CHUNK_SIZE)
    ]


def work_folder(folder: str) -> str:
    """The path of the work folder of `folder`."""
    parent, name = os.path.split(os.path.abspath(folder))
    return os.path.join(parent, f".{name}.rendering")


@contextlib.contextmanager
def hold_work(folder: str) -> Iterator[None]:
    """Hold the work folder of `folder`. Raises UserError if another process holds it."""
    os.makedirs(work_folder(folder), exist_ok=True)
    lock = lock_folder(work_folder(folder))
    if lock is None:
        raise UserError(f"{folder}: another process is rendering into it; wait for its end, or give another folder")
    try:
        yield
    finally:
        os.close(lock)


def open_work(folder: str, options: RenderOptions) -> str:
    """The work folder of `folder`, new or with the same plan, else a UserError."""
    work = work_folder(folder)
    path = os.path.join(work, "plan.json")
    plan: Dict[str, Any] = {name: getattr(options, name) for name in ("seed", "images", "test_images", "supersampling")}
    plan.update(provenance())
    if not os.path.exists(path):
        for name in os.listdir(work) if os.path.isdir(work) else ():  # of settings that are not known
            os.unlink(os.path.join(work, name))
        os.makedirs(work, exist_ok=True)
        write_json(path, plan)
        return work
    with contextlib.suppress(ValueError):
        if read_json(path) == plan:
            return work
    raise UserError(
        f"{work}: left by an interrupted run with other settings, libraries or code; delete it, or repeat the "
        "command of that run"
    )


def remove_work(folder: str, options: RenderOptions) -> None:
    """Remove the work folder of these options that a process has left which was killed when `folder` was complete."""
    if os.path.isdir(work_folder(folder)):
        with contextlib.suppress(UserError), hold_work(folder):
            shutil.rmtree(open_work(folder, options))


def provenance() -> Dict[str, Any]:
    """Versions of libraries that may change grey levels, and the fingerprint of the source."""
    versions = {name: importlib.metadata.version(name) for name in ("numpy", "opencv-python", "numba")}
    return {"versions": {**versions, makehuman.WHEEL: makehuman.VERSION}, "code": source_fingerprint()}


def render_chunks(work: str, options: RenderOptions, workers: int) -> Iterator[Chunk]:
    """Render the chunks that are missing. Yields every chunk when its file is complete."""
    missing = []
    for chunk in chunks_of(options):
        if os.path.exists(chunk.path(work)):
            yield chunk
        else:
            missing.append(chunk)
    if not missing:
        return
    renderer(options.supersampling)  # fills the caches before several processes would do it at once
    if workers == 1:
        with single_threaded():
            for chunk in missing:
                render_chunk(work, chunk, options)
                yield chunk
        return
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(workers, context, _start_worker) as pool:
        futures = {pool.submit(render_chunk, work, chunk, options): chunk for chunk in missing}
        try:
            for future in concurrent.futures.as_completed(futures):
                future.result()
                yield futures[future]
        except concurrent.futures.process.BrokenProcessPool:
            raise UserError(
                "a worker process died (out of memory?); run the same command again with fewer `workers` to continue"
            ) from None
        finally:
            for future in futures:
                future.cancel()


@functools.lru_cache(maxsize=1)
def renderer(supersampling: float) -> Renderer:
    """The renderer of this process, with compiled kernels."""
    head = Head.load()
    result = Renderer(head, supersampling)
    result.render(draw_identity(head, 0, TRAINING.identity_part, 0), TRAINING.mode, image_stream(0, 0, 0, 0))
    return result


def render_chunk(work: str, chunk: Chunk, options: RenderOptions) -> None:
    """Render the images of a chunk and write its file."""
    images: List[bytes] = []
    for identity in range(chunk.first, chunk.first + chunk.identities):
        images += render_identity(options, chunk.kinds, identity, chunk.images)
    with atomic_write(chunk.path(work)) as stream:
        np.savez(stream, *(np.frombuffer(image, np.uint8) for image in images))


def render_identity(options: RenderOptions, kinds: Tuple[Kind, ...], identity: int, images: int) -> List[bytes]:
    """JPEG bytes of `images` images of each kind, kind by kind. The kinds share the identity."""
    engine, seed = renderer(options.supersampling), options.seed
    appearance = draw_identity(engine.head, seed, kinds[0].identity_part, identity)
    return [
        engine.render(appearance, kind.mode, image_stream(seed, kind.image_part, identity, number), kind.age(number))
        for kind in kinds
        for number in range(images)
    ]


def read_part(work: str, chunks: Sequence[Chunk], part: str) -> Iterator[Tuple[Key, bytes]]:
    """Key and JPEG bytes of every image of a part, "train" or "test"."""
    for chunk in chunks:
        if chunk.part != part:
            continue
        path = chunk.path(work)
        try:
            with np.load(path, allow_pickle=False) as stored:
                images = [stored[name].tobytes() for name in stored.files]
            if len(images) != chunk.num_images:
                raise ValueError(f"{len(images)} images, expected {chunk.num_images}")
        except (OSError, ValueError, zipfile.BadZipFile) as error:
            raise UserError(f"{path}: damaged ({error}); delete it and run the same command again") from None
        yield from zip(chunk.keys, images)


def _start_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent stops the pool
    threading.Thread(target=_follow_parent, daemon=True).start()
    single_threaded().__enter__()  # for the life of the process


def _follow_parent() -> None:
    """End this worker when its parent has ended, for whatever reason."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)


class single_threaded:
    """One thread for BLAS and OpenCV: the processes run in parallel, and sums keep their order."""

    def __enter__(self) -> None:
        from threadpoolctl import threadpool_limits  # optional, like numba

        self.limits, self.threads = threadpool_limits(1), cv2.getNumThreads()
        cv2.setNumThreads(1)

    def __exit__(self, *_: object) -> None:
        self.limits.restore_original_limits()
        cv2.setNumThreads(self.threads)
