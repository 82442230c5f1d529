"""Embed many image files into one `.npz`, in parts, so that an interrupted run can continue."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import re
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Sequence

import numpy as np

from arcface_mx.faces.read import Face, read_faces
from arcface_mx.faces.store import read_fields, write_fields
from arcface_mx.model.embedder import Embedder
from arcface_mx.util.errors import UserError
from arcface_mx.util.files import read_json, write_json
from arcface_mx.util.progress import progress

PART_SIZE = 2048  # images
TASK = "task.json"
_PART = re.compile(r"\.?(\d{8}\.npz|task\.json)(\.new.*)?$")


@dataclasses.dataclass(frozen=True)
class FaceOptions:
    """How image files become embeddings."""

    align: bool = False  # detect the face and crop it first
    flip: str = "none"  # flip test, "none" or "sum"
    batch_size: Optional[int] = None  # None takes the embedder's default
    workers: int = 1  # threads, or processes with `align`, that read images
    all_faces: bool = False  # with `align`: every face of an image, not only the large and central one


class Embeddings(NamedTuple):
    """Embeddings of n faces, and the names of m images without a usable face."""

    paths: np.ndarray  # (n,)
    faces: np.ndarray  # (n,) number of the face in its image, from 1
    notes: np.ndarray  # (n,) what is unusual, such as several faces; empty for most
    vectors: np.ndarray  # (n, d) float32, not normalised
    skipped: np.ndarray  # (m,)
    reasons: np.ndarray  # (m,)
    model: str  # SHA-256 of the parameters
    align: bool  # as in FaceOptions
    flip: str
    engine: str = ""  # what computed: "mxnet", "onnx" or "int8"; empty in files of earlier versions

    @property
    def reason_of(self) -> Dict[str, str]:
        """Reasons by skipped image."""
        return dict(zip(self.skipped.tolist(), self.reasons.tolist()))

    @property
    def note_of(self) -> Dict[str, str]:
        """Notes by image, of the images that have one. With several faces it is that of the first."""
        noted = np.flatnonzero((self.notes != "") & (self.faces == 1))
        return dict(zip(self.paths[noted].tolist(), self.notes[noted].tolist()))


def embed_faces(
    embedder: Embedder, model: str, paths: Sequence[str], options: FaceOptions, caption: str = "images"
) -> Embeddings:
    """Embed image files; `model` is the SHA-256 of the embedder's parameters.

    Images without a usable face are listed in the result.
    """
    skipped: List[Face] = []
    kept: List[Face] = []

    def images() -> Iterator[np.ndarray]:
        faces = read_faces(paths, embedder.input_size, options.align, options.workers, options.all_faces)
        for face in progress(faces, caption, "image", len(paths)):
            if face.pixels is None:
                skipped.append(face)
            else:
                kept.append(face._replace(pixels=None))
                yield face.pixels

    vectors = embedder.embed(images(), options.batch_size, options.flip == "sum")
    return Embeddings(
        paths=np.asarray([face.path for face in kept], str),
        faces=np.asarray([face.number for face in kept], np.int64),
        notes=np.asarray([face.note for face in kept], str),
        vectors=vectors,
        skipped=np.asarray([face.path for face in skipped], str),
        reasons=np.asarray([face.note for face in skipped], str),
        model=model,
        align=options.align,
        flip=options.flip,
        engine=embedder.engine,
    )


def embed_to_file(
    embedder: Embedder, model: str, paths: Sequence[str], out: str, options: FaceOptions, part_size: int = PART_SIZE
) -> Embeddings:
    """Write the embeddings of `paths` to `out`, whole or not at all.

    Parts are kept in `out`.parts until all of them exist; the same call continues after an
    interruption. Raises UserError if `out` exists, or the parts belong to another call.
    """
    folder, task = out + ".parts", _task(model, paths, options, part_size)
    if os.path.exists(out):
        if _stored_task(folder) in (None, task):
            _remove_parts(folder)  # left by a process that was killed when `out` was complete
        raise UserError(f"{out}: already exists; give another name or delete it")
    _check_same_task(folder, task)
    parts = []
    for start in range(0, len(paths), part_size):
        path = os.path.join(folder, f"{start:08d}.npz")
        if not os.path.exists(path):
            part = paths[start : start + part_size]
            write_fields(path, embed_faces(embedder, model, part, options, f"images from {start}"))
        parts.append(read_embeddings(path))
    arrays = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in ("paths", "faces", "notes", "vectors", "skipped", "reasons")
    }
    engines = sorted({part.engine for part in parts})  # the engine "auto" may be another one after an interruption
    embeddings = parts[0]._replace(engine=" and ".join(engines), **arrays)
    write_fields(out, embeddings)
    _remove_parts(folder)
    return embeddings


def _task(model: str, paths: Sequence[str], options: FaceOptions, part_size: int) -> Dict[str, Any]:
    digest = hashlib.sha256()
    for path in paths:
        try:
            state = os.stat(path)
            size, time = state.st_size, state.st_mtime_ns
        except OSError:  # a dangling link; it has no embedding
            size, time = -1, -1
        digest.update((f"{path}\0{size}\0{time}\n").encode("utf-8", "surrogateescape"))
    return {
        "model": model,
        "images": digest.hexdigest(),
        "align": options.align,
        "all_faces": options.all_faces,
        "flip": options.flip,
        "part_size": part_size,
    }


def _check_same_task(folder: str, task: Dict[str, Any]) -> None:
    stored = _stored_task(folder)
    if stored is None:
        _remove_parts(folder)  # it is not known of what they are
        write_json(os.path.join(folder, TASK), task)
    elif stored != task:
        raise UserError(f"{folder}: holds parts for other images, another model or other options; delete the folder")


def _stored_task(folder: str) -> Any:
    """Return what the parts in a folder are of; None if that is not stated."""
    try:
        return read_json(os.path.join(folder, TASK))
    except FileNotFoundError:
        return None
    except ValueError:
        return {}


def _remove_parts(folder: str) -> None:
    """Remove the folder of the parts, with what killed processes left in it, but not what somebody else put there."""
    for name in os.listdir(folder) if os.path.isdir(folder) else ():
        if _PART.match(name):
            os.unlink(os.path.join(folder, name))
    with contextlib.suppress(OSError):
        os.rmdir(folder)


def read_embeddings(path: str) -> Embeddings:
    """Read a file of `embed_to_file`; UserError if it is another file."""
    return Embeddings(**read_fields(path, Embeddings, "a file of embeddings", "arcface-mx embed"))
