"""Embed many image files into one `.npz`, in parts, so that an interrupted run can continue."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import shutil
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Sequence

import numpy as np

from arcface_mx.faces.read import Face, read_faces
from arcface_mx.faces.store import read_fields, write_fields
from arcface_mx.model.embedder import Embedder
from arcface_mx.util.errors import UserError
from arcface_mx.util.files import read_json, write_json
from arcface_mx.util.progress import progress

PART_SIZE = 2048  # images


@dataclasses.dataclass(frozen=True)
class FaceOptions:
    """How image files become embeddings."""

    align: bool = False  # detect the face and crop it first
    flip: str = "none"  # flip test, "none" or "sum"
    batch_size: Optional[int] = None  # None takes the embedder's default
    workers: int = 1  # threads, or processes with `align`, that read images


class Embeddings(NamedTuple):
    """Embeddings of n images with a usable face, and the names of m images without."""

    paths: np.ndarray  # (n,)
    vectors: np.ndarray  # (n, d) float32, not normalised
    skipped: np.ndarray  # (m,)
    reasons: np.ndarray  # (m,)
    model: str  # SHA-256 of the parameters
    align: bool  # as in FaceOptions
    flip: str

    @property
    def reason_of(self) -> Dict[str, str]:
        """Reasons by skipped image."""
        return dict(zip(self.skipped.tolist(), self.reasons.tolist()))


def embed_faces(
    embedder: Embedder, model: str, paths: Sequence[str], options: FaceOptions, caption: str = "images"
) -> Embeddings:
    """Embed image files; `model` is the SHA-256 of the embedder's parameters.

    Images without a usable face are listed in the result.
    """
    skipped: List[Face] = []
    kept: List[str] = []

    def images() -> Iterator[np.ndarray]:
        faces = read_faces(paths, embedder.input_size, options.align, options.workers)
        for face in progress(faces, caption, "image", len(paths)):
            if face.pixels is None:
                skipped.append(face)
            else:
                kept.append(face.path)
                yield face.pixels

    vectors = embedder.embed(images(), options.batch_size, options.flip == "sum")
    names = [
        np.asarray(texts, str) for texts in (kept, [face.path for face in skipped], [face.note for face in skipped])
    ]
    return Embeddings(names[0], vectors, names[1], names[2], model, options.align, options.flip)


def embed_to_file(
    embedder: Embedder, model: str, paths: Sequence[str], out: str, options: FaceOptions, part_size: int = PART_SIZE
) -> Embeddings:
    """Write the embeddings of `paths` to `out`, whole or not at all.

    Parts are kept in `out`.parts until all of them exist; the same call continues after an
    interruption. Raises UserError if `out` exists, or the parts belong to another call.
    """
    if os.path.exists(out):
        raise UserError(f"{out}: already exists; give another name or delete it")
    folder = out + ".parts"
    _check_same_task(folder, _task(model, paths, options, part_size))
    parts = []
    for start in range(0, len(paths), part_size):
        path = os.path.join(folder, f"{start:08d}.npz")
        if not os.path.exists(path):
            part = paths[start : start + part_size]
            write_fields(path, embed_faces(embedder, model, part, options, f"images from {start}"))
        parts.append(read_embeddings(path))
    arrays = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in ("paths", "vectors", "skipped", "reasons")
    }
    embeddings = parts[0]._replace(**arrays)
    write_fields(out, embeddings)
    shutil.rmtree(folder)
    return embeddings


def _task(model: str, paths: Sequence[str], options: FaceOptions, part_size: int) -> Dict[str, Any]:
    digest = hashlib.sha256()
    for path in paths:
        state = os.stat(path)
        digest.update((f"{path}\0{state.st_size}\0{state.st_mtime_ns}\n").encode("utf-8", "surrogateescape"))
    return {
        "model": model,
        "images": digest.hexdigest(),
        "align": options.align,
        "flip": options.flip,
        "part_size": part_size,
    }


def _check_same_task(folder: str, task: Dict[str, Any]) -> None:
    path = os.path.join(folder, "task.json")
    if not os.path.exists(path):
        write_json(path, task)
    elif read_json(path) != task:
        raise UserError(f"{folder}: holds parts for other images, another model or other options; delete the folder")


def read_embeddings(path: str) -> Embeddings:
    """Read a file of `embed_to_file`; UserError if it is another file."""
    return Embeddings(**read_fields(path, Embeddings._fields, "a file of embeddings", "arcface-mx embed"))
