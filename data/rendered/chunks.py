"""Photos of a few people at a time, each chunk one file, by one process or several.

Chunks lie in a hidden work folder beside the result. A run that was interrupted finds the chunks
that are whole and goes on; `plan.json` there says which settings and code they are of.
"""

from __future__ import annotations

import concurrent.futures
import glob
import json
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Tuple

import numpy as np

from arcface_mx.data.rendered.sets import TEST_KINDS, TRAINING, Kind, Options
from arcface_mx.util.errors import UserError
from arcface_mx.util.files import atomic_write, fingerprint, write_json

PEOPLE = 10  # a chunk


class Chunk(NamedTuple):
    """People first … first + PEOPLE − 1 of the training set or of the test sets."""

    name: str  # "train" or "test"
    first: int
    people: int
    images: int  # of a person and kind

    @property
    def kinds(self) -> Tuple[Kind, ...]:
        return (TRAINING,) if self.name == "train" else TEST_KINDS

    @property
    def photos(self) -> int:
        return self.people * self.images * len(self.kinds)

    def path(self, work: str) -> str:
        return os.path.join(work, f"{self.name}-{self.first:07d}-{self.people}.npz")


def chunks_of(options: Options) -> List[Chunk]:
    """All chunks of a run, training people first."""
    both = (("train", options.identities, options.images), ("test", options.test_identities, options.test_images))
    return [
        Chunk(name, first, min(PEOPLE, people - first), images)
        for name, people, images in both
        for first in range(0, people, PEOPLE)
    ]


def open_work(folder: str, options: Options) -> str:
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


def make_plan(options: Options) -> Dict[str, Any]:
    """What a chunk's bytes depend on besides its numbers."""
    return {
        "seed": options.seed,
        "images": options.images,
        "test_images": options.test_images,
        "supersampling": options.supersampling,
        "versions": versions(),
        "code": code_fingerprint(),
    }


def versions() -> Dict[str, str]:
    """Libraries whose version may change grey levels."""
    import importlib.metadata

    import numba

    from arcface_mx.data.rendered import asset_wheel as wheel

    return {
        "numpy": np.__version__,
        "opencv-python": importlib.metadata.version("opencv-python"),
        "numba": numba.__version__,
        wheel.WHEEL: wheel.VERSION,
    }


def code_fingerprint() -> str:
    """SHA-256 of this folder's sources, in the order of their names."""
    return fingerprint(*sorted(glob.glob(os.path.join(os.path.dirname(os.path.abspath(__file__)), "*.py"))))


def render_all(work: str, options: Options, workers: int, done: Callable[[int], None]) -> None:
    """Make every chunk that is not there yet; `done` is called with the photos of each, made or found."""
    missing = []
    for chunk in chunks_of(options):
        if os.path.exists(chunk.path(work)):
            done(chunk.photos)
        else:
            missing.append(chunk)
    if not missing:
        return
    prepare(options)  # compiles, and fills the caches once, before there are several processes
    if workers == 1:
        with one_thread():
            for chunk in missing:
                render_chunk(work, chunk, options.seed)
                done(chunk.photos)
        return
    context = multiprocessing.get_context("spawn")
    pool = concurrent.futures.ProcessPoolExecutor(workers, context, _start_worker, (options,))
    futures = {pool.submit(render_chunk, work, chunk, options.seed): chunk for chunk in missing}
    try:
        for future in concurrent.futures.as_completed(futures):
            future.result()
            done(futures[future].photos)
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


def prepare(options: Options) -> None:
    """Load the head and compile, once a process and supersampling."""
    global _RENDERER
    from arcface_mx.data.rendered.head import Head
    from arcface_mx.data.rendered.identity import draw_person
    from arcface_mx.data.rendered.render import Renderer
    from arcface_mx.data.rendered.streams import photo_stream

    if _RENDERER is None or _RENDERER.scale != options.supersampling:
        head = Head.load() if _RENDERER is None else _RENDERER.head
        _RENDERER = Renderer(head, options.supersampling)
        _RENDERER.photo(draw_person(head, 0, TRAINING.people, 0), TRAINING.mode, photo_stream(0, 0, 0, 0))


def render_chunk(work: str, chunk: Chunk, seed: int) -> None:
    """Draw a chunk's photos and write its file."""
    images: List[bytes] = []
    for person in range(chunk.first, chunk.first + chunk.people):
        images += person_photos(chunk.kinds, seed, person, chunk.images)
    lengths = np.asarray([len(image) for image in images], np.int64)
    with atomic_write(chunk.path(work)) as stream:
        np.savez(stream, lengths=lengths, bytes=np.frombuffer(b"".join(images), np.uint8))


def person_photos(kinds: Tuple[Kind, ...], seed: int, person: int, images: int) -> List[bytes]:
    """All photos of one person, kind by kind. `prepare` comes first. The kinds share their people."""
    from arcface_mx.data.rendered.identity import draw_person
    from arcface_mx.data.rendered.streams import photo_stream

    who = draw_person(_RENDERER.head, seed, kinds[0].people, person)
    return [
        _RENDERER.photo(who, kind.mode, photo_stream(seed, kind.photos, person, number), kind.age(number))
        for kind in kinds
        for number in range(images)
    ]


def read_photos(work: str, chunk: Chunk) -> Iterator[Tuple[Kind, int, int, bytes]]:
    """Kind, person, photo number and JPEG bytes of every photo of a chunk."""
    path = chunk.path(work)
    try:
        with np.load(path, allow_pickle=False) as stored:
            lengths, data = stored["lengths"], stored["bytes"].tobytes()
        if len(lengths) != chunk.photos or lengths.sum() != len(data):
            raise ValueError(f"{len(lengths)} photos, expected {chunk.photos}")
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{path}: damaged ({error}); delete it and run the same command again") from None
    ends = np.cumsum(lengths)
    place = 0
    for person in range(chunk.first, chunk.first + chunk.people):
        for kind in chunk.kinds:
            for number in range(chunk.images):
                yield kind, person, number, data[ends[place] - lengths[place] : ends[place]]
                place += 1


def _start_worker(options: Options) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent stops the pool
    threading.Thread(target=_follow_parent, daemon=True).start()
    one_thread().__enter__()  # for the life of the process
    prepare(options)


def _follow_parent() -> None:
    """End this worker when the parent is gone, however it ended."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)


class one_thread:
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
