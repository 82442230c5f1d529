"""Embed many photos into one `.npz`, in parts, so that an interrupted run goes on where it was."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Sequence

import numpy as np

from arcface_mx.faces.read import Face, read_faces
from arcface_mx.faces.store import read_fields, write_fields
from arcface_mx.model.embedder import Embedder
from arcface_mx.util.errors import UserError
from arcface_mx.util.files import write_json
from arcface_mx.util.progress import progress

PART = 2048  # photos


@dataclasses.dataclass(frozen=True)
class FaceOptions:
    """How photos become embeddings. align: find faces first. flip: the flip test, "none" or "sum".
    batch_size: photos at once; None is the embedder's own choice."""

    align: bool = False
    flip: str = "none"
    batch_size: Optional[int] = None
    workers: int = 1


class Embeddings(NamedTuple):
    """n photos with a face and m without. paths: (n,). vectors: (n, d) float32, not normalised.

    skipped, reasons: (m,). model: SHA-256 of the parameters. align, flip: as in FaceOptions.
    """

    paths: np.ndarray
    vectors: np.ndarray
    skipped: np.ndarray
    reasons: np.ndarray
    model: str
    align: bool
    flip: str


def embed_faces(
    embedder: Embedder, model: str, paths: Sequence[str], options: FaceOptions, what: str = "photos"
) -> Embeddings:
    """Embeddings of photo files. model: SHA-256 of its parameters. Bad photos are listed, not fatal."""
    skipped: List[Face] = []
    kept: List[str] = []

    def images() -> Iterator[np.ndarray]:
        for face in progress(
            read_faces(paths, embedder.input_size, options.align, options.workers), what, "image", len(paths)
        ):
            if face.pixels is None:
                skipped.append(face)
            else:
                kept.append(face.path)
                yield face.pixels

    vectors = embedder.embed(images(), options.batch_size, options.flip == "sum")
    return Embeddings(
        _texts(kept),
        vectors,
        _texts([face.path for face in skipped]),
        _texts([face.told for face in skipped]),
        model,
        options.align,
        options.flip,
    )


def _texts(values: Sequence[str]) -> np.ndarray:
    return np.asarray(values, str) if len(values) else np.zeros(0, "U1")


def embed_to_file(
    embedder: Embedder, model: str, paths: Sequence[str], out: str, options: FaceOptions, part: int = PART
) -> Embeddings:
    """Write the embeddings of `paths` to `out`, whole or not at all, a part at a time.

    Parts wait in `out`.parts until all are there; the same call goes on after an interruption.
    Raises UserError where `out` is there, or the parts are of another call.
    """
    if os.path.exists(out):
        raise UserError(f"{out}: already there; give another name or delete it")
    folder = out + ".parts"
    _claim(folder, _task(model, paths, options, part))
    parts = []
    for start in range(0, len(paths), part):
        path = os.path.join(folder, f"{start:08d}.npz")
        if not os.path.exists(path):
            write_embeddings(path, embed_faces(embedder, model, paths[start : start + part], options, f"from {start}"))
        parts.append(read_embeddings(path))
    kept, vectors, skipped, reasons = (np.concatenate([piece[field] for piece in parts]) for field in range(4))
    whole = Embeddings(kept, vectors, skipped, reasons, model, options.align, options.flip)
    write_embeddings(out, whole)
    shutil.rmtree(folder)
    return whole


def _task(model: str, paths: Sequence[str], options: FaceOptions, part: int) -> Dict[str, Any]:
    digest = hashlib.sha256()
    for path in paths:
        state = os.stat(path)
        digest.update((f"{path}\0{state.st_size}\0{state.st_mtime_ns}\n").encode("utf-8", "surrogateescape"))
    return {
        "model": model,
        "photos": digest.hexdigest(),
        "align": options.align,
        "flip": options.flip,
        "part": part,
    }


def _claim(folder: str, task: Dict[str, Any]) -> None:
    path = os.path.join(folder, "task.json")
    if os.path.exists(path):
        with open(path, encoding="utf-8") as stream:
            if json.load(stream) != task:
                raise UserError(f"{folder}: holds parts of other photos, another model or other flags; delete it")
        return
    os.makedirs(folder, exist_ok=True)
    write_json(path, task)


def write_embeddings(path: str, found: Embeddings) -> None:
    """Write a `.npz` with the fields of Embeddings, whole or not at all."""
    write_fields(path, found)


def read_embeddings(path: str) -> Embeddings:
    """Read what `write_embeddings` wrote. Raises UserError where it is something else."""
    return Embeddings(**read_fields(path, Embeddings._fields, "arcface-mx embed", "holds no embeddings"))
