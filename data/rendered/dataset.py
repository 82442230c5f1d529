"""Make the data set: `train.rec`, `train.idx`, `property`, three `.bin` files, `rendered.json`."""

from __future__ import annotations

import dataclasses
import os
import shutil
import sys
from typing import Any, Dict, Iterator

from arcface_mx.data.bins.write import write_pairs
from arcface_mx.data.recordio.writer import RecordWriter
from arcface_mx.data.rendered import chunks
from arcface_mx.data.rendered.kernels import source_fingerprint
from arcface_mx.data.rendered.sets import COMPARISONS, Comparison, RenderOptions, choose_pairs
from arcface_mx.util.errors import UserError
from arcface_mx.util.files import atomic_directory, fingerprint, write_json

TRAINING_FILES = ("train.rec", "train.idx", "property")


def render_dataset(folder: str, options: RenderOptions, workers: int = 1) -> Dict[str, Any]:
    """Render the set into `folder`, which appears when all of it is there; returns `rendered.json`.

    A progress bar is shown on a terminal. Run again after an interruption it goes on.
    Raises UserError when the options cannot be, the folder is not empty, or the wheel is missing.
    """
    from tqdm import tqdm

    options.check()
    if workers < 1:
        raise UserError(f"--workers {workers}: give at least 1")
    if os.path.exists(folder) and (not os.path.isdir(folder) or os.listdir(folder)):
        raise UserError(f"{folder}: already there; give another folder or delete it")
    work = chunks.open_work(folder, options)
    total = sum(chunk.image_count for chunk in chunks.chunks_of(options))
    with tqdm(total=total, unit="photo", desc="rendering", disable=not sys.stderr.isatty(), smoothing=0.05) as bar:
        chunks.render_all(work, options, workers, bar.update)
    with atomic_directory(folder) as temporary:
        _write_training(temporary, work, options)
        if options.test_identities:
            _write_comparisons(temporary, work, options)
        summary = _summary(temporary, options)
        write_json(os.path.join(temporary, "rendered.json"), summary)
    shutil.rmtree(work)
    return summary


def _write_training(folder: str, work: str, options: RenderOptions) -> None:
    with RecordWriter(folder) as writer:
        for chunk in chunks.chunks_of(options):
            if chunk.name == "train":
                for _, identity, _, image in chunks.read_chunk(work, chunk):
                    writer.add(identity, image)


def _write_comparisons(folder: str, work: str, options: RenderOptions) -> None:
    photos = {
        (kind.name, identity, number): image
        for chunk in chunks.chunks_of(options)
        if chunk.name == "test"
        for kind, identity, number, image in chunks.read_chunk(work, chunk)
    }

    def images(comparison: Comparison) -> Iterator[bytes]:
        for pair in choose_pairs(comparison, options):
            for kind, identity, number in (pair.first, pair.second):
                yield photos[kind.name, identity, number]

    for comparison in COMPARISONS:
        same = [pair.same for pair in choose_pairs(comparison, options)]
        write_pairs(os.path.join(folder, comparison.name + ".bin"), images(comparison), same)


def _summary(folder: str, options: RenderOptions) -> Dict[str, Any]:
    names = sorted(name for name in os.listdir(folder))
    return {
        "what": "rendered faces; no photographs of identities",
        "options": dataclasses.asdict(options),
        "photos": sum(chunk.image_count for chunk in chunks.chunks_of(options)),
        "versions": chunks.versions(),
        "code": source_fingerprint(),
        "sha256": {name: fingerprint(os.path.join(folder, name)) for name in names},
    }
