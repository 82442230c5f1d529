"""Photos of a few identities at a time, each chunk one file, by one process or several.

Chunks lie in a hidden work folder beside the result. A run that was interrupted finds the chunks
that are whole and goes on; `plan.json` there says which settings and code they are of.
"""

from __future__ import annotations

import concurrent.futures
import json
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Tuple

import numpy as np

from arcface_mx.data.rendered.kernels import source_fingerprint
from arcface_mx.data.rendered.sets import TEST_KINDS, TRAINING, Kind, RenderOptions
from arcface_mx.util.errors import UserError
from arcface_mx.util.files import atomic_write, write_json

IDENTITIES_PER_CHUNK = 10  # a chunk


class Chunk(NamedTuple):
    """People first … first + IDENTITIES_PER_CHUNK − 1 of the training set or of the test sets."""

    name: str  # "train" or "test"
    first: int
    identities: int
    images_per_kind: int  # of one identity

    @property
    def kinds(self) -> Tuple[Kind, ...]:
        return (TRAINING,) if self.name == "train" else TEST_KINDS

    @property
    def image_count(self) -> int:
        return self.identities * self.images_per_kind * len(self.kinds)

    def path(self, work: str) -> str:
        return os.path.join(work, f"{self.name}-{self.first:07d}-{self.identities}.npz")


def chunks_of(options: RenderOptions) -> List[Chunk]:
    """All chunks of a run, training identities first."""
    both = (("train", options.identities, options.images), ("test", options.test_identities, options.test_images))
    return [
        Chunk(name, first, min(IDENTITIES_PER_CHUNK, identities - first), images)
        for name, identities, images in both
        for first in range(0, identities, IDENTITIES_PER_CHUNK)
    ]


def open_work(folder: str, options: RenderOptions) -> str:
    """The work folder for `folder`, made or found. Raises UserError if it is another run's."""
    folder = os.path.abspath(folder)
    work = os.path.join(os.path.dirname(folder), f".{os.path.basename(folder)}.rendering")
    path = os.path.join(work, "plan.json")
    plan = make_plan(options)
    if os.path.exists(path):
        try:
            with open(path, encoding="utf-8") as stream:
                found = json.load(stream)
        except ValueError:
            found = None
        if found != plan:
            raise UserError(
                f"{work}: left by an interrupted run with other settings, libraries or code; delete it, or repeat that run's command"
            )
    else:
        os.makedirs(work, exist_ok=True)
        write_json(path, plan)
    return work


def make_plan(options: RenderOptions) -> Dict[str, Any]:
    """What a chunk's bytes depend on besides its numbers."""
    return {
        "seed": options.seed,
        "images": options.images,
        "test_images": options.test_images,
        "supersampling": options.supersampling,
        "versions": versions(),
        "code": source_fingerprint(),
    }


def versions() -> Dict[str, str]:
    """Libraries whose version may change grey levels."""
    import importlib.metadata

    import numba

    from arcface_mx.data.rendered import makehuman

    return {
        "numpy": np.__version__,
        "opencv-python": importlib.metadata.version("opencv-python"),
        "numba": numba.__version__,
        makehuman.WHEEL: makehuman.VERSION,
    }


def render_all(work: str, options: RenderOptions, workers: int, done: Callable[[int], None]) -> None:
    """Make every chunk that is not there yet; `done` is called with the photos of each, made or found."""
    missing = []
    for chunk in chunks_of(options):
        if os.path.exists(chunk.path(work)):
            done(chunk.image_count)
        else:
            missing.append(chunk)
    if not missing:
        return
    prepare(options)  # compiles, and fills the caches once, before there are several processes
    if workers == 1:
        with single_threaded():
            for chunk in missing:
                render_chunk(work, chunk, options.seed)
                done(chunk.image_count)
        return
    context = multiprocessing.get_context("spawn")
    pool = concurrent.futures.ProcessPoolExecutor(workers, context, _start_worker, (options,))
    futures = {pool.submit(render_chunk, work, chunk, options.seed): chunk for chunk in missing}
    try:
        for future in concurrent.futures.as_completed(futures):
            future.result()
            done(futures[future].image_count)
    except concurrent.futures.process.BrokenProcessPool:
        raise UserError(
            "a worker process ended before its work was done (out of memory?); run the same command again, "
            "with fewer --workers, to go on"
        ) from None
    finally:
        for future in futures:
            future.cancel()
        pool.shutdown()


_RENDERER: Any = None  # one a process


def prepare(options: RenderOptions) -> None:
    """Load the head and compile, once a process and supersampling."""
    global _RENDERER
    from arcface_mx.data.rendered.head import Head
    from arcface_mx.data.rendered.identity import draw_identity
    from arcface_mx.data.rendered.renderer import Renderer
    from arcface_mx.data.rendered.sampling import image_stream

    if _RENDERER is None or _RENDERER.supersampling != options.supersampling:
        head = Head.load() if _RENDERER is None else _RENDERER.head
        _RENDERER = Renderer(head, options.supersampling)
        _RENDERER.render(draw_identity(head, 0, TRAINING.identity_part, 0), TRAINING.mode, image_stream(0, 0, 0, 0))


def render_chunk(work: str, chunk: Chunk, seed: int) -> None:
    """Draw a chunk's photos and write its file."""
    images: List[bytes] = []
    for identity in range(chunk.first, chunk.first + chunk.identities):
        images += render_identity(chunk.kinds, seed, identity, chunk.images_per_kind)
    lengths = np.asarray([len(image) for image in images], np.int64)
    with atomic_write(chunk.path(work)) as stream:
        np.savez(stream, lengths=lengths, bytes=np.frombuffer(b"".join(images), np.uint8))


def render_identity(kinds: Tuple[Kind, ...], seed: int, identity: int, images: int) -> List[bytes]:
    """All photos of one identity, kind by kind. `prepare` comes first. The kinds share their identities."""
    from arcface_mx.data.rendered.identity import draw_identity
    from arcface_mx.data.rendered.sampling import image_stream

    who = draw_identity(_RENDERER.head, seed, kinds[0].identity_part, identity)
    return [
        _RENDERER.render(who, kind.mode, image_stream(seed, kind.image_part, identity, number), kind.age(number))
        for kind in kinds
        for number in range(images)
    ]


def read_chunk(work: str, chunk: Chunk) -> Iterator[Tuple[Kind, int, int, bytes]]:
    """Kind, identity, photo number and JPEG bytes of every photo of a chunk."""
    path = chunk.path(work)
    try:
        with np.load(path, allow_pickle=False) as stored:
            lengths, data = stored["lengths"], stored["bytes"].tobytes()
        if len(lengths) != chunk.image_count or lengths.sum() != len(data):
            raise ValueError(f"{len(lengths)} photos, expected {chunk.image_count}")
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{path}: damaged ({error}); delete it and run the same command again") from None
    ends = np.cumsum(lengths)
    place = 0
    for identity in range(chunk.first, chunk.first + chunk.identities):
        for kind in chunk.kinds:
            for number in range(chunk.images_per_kind):
                yield kind, identity, number, data[ends[place] - lengths[place] : ends[place]]
                place += 1


def _start_worker(options: RenderOptions) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent stops the pool
    threading.Thread(target=_follow_parent, daemon=True).start()
    single_threaded().__enter__()  # for the life of the process
    prepare(options)


def _follow_parent() -> None:
    """End this worker when the parent is gone, however it ended."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)


class single_threaded:
    """One thread for BLAS and OpenCV: workers are the parallelism, and sums keep their order."""

    def __enter__(self) -> None:
        import cv2
        from threadpoolctl import threadpool_limits

        self.limits = threadpool_limits(1)
        self.cv_threads = cv2.getNumThreads()
        cv2.setNumThreads(1)

    def __exit__(self, *_: object) -> None:
        import cv2

        self.limits.restore_original_limits()
        cv2.setNumThreads(self.cv_threads)
