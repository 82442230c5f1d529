"""The data set: `train.rec`, `train.idx`, `property`, three `.bin` files and `rendered.json`."""

from __future__ import annotations

import dataclasses
import os
import shutil
from typing import Any, Dict

from arcface_mx.data.bins.write import write_pairs
from arcface_mx.data.recordio.writer import RecordWriter
from arcface_mx.data.rendered import chunks
from arcface_mx.data.rendered.kernels import source_fingerprint
from arcface_mx.data.rendered.sets import COMPARISONS, TEST_KINDS, RenderOptions, choose_pairs
from arcface_mx.util.errors import UserError
from arcface_mx.util.files import atomic_directory, fingerprint, write_json
from arcface_mx.util.progress import progress


def render_dataset(folder: str, options: RenderOptions, workers: int = 1) -> Dict[str, Any]:
    """Render a training set and three verification sets into a new folder.

    Parameters
    ----------
    folder : str
        Folder to make. It appears when it is complete. It may exist if it is empty.
    options : RenderOptions
        Size, seed and supersampling.
    workers : int, default 1
        Number of processes. It does not change a byte of the images.

    Returns
    -------
    dict
        The contents of `rendered.json`: options, number of images, versions, SHA-256 of each file.

    Raises
    ------
    UserError
        If an option is out of its range, the folder is not empty, a work folder of other settings
        is beside it, or the face assets are not installed.

    Notes
    -----
    A call after an interruption continues from the hidden work folder beside `folder`.
    """
    options.check()
    if workers < 1:
        raise UserError(f"`workers` must be at least 1, got {workers}")
    if os.path.exists(folder) and (not os.path.isdir(folder) or os.listdir(folder)):
        raise UserError(f"{folder}: already there; choose another folder or delete it")
    work = chunks.open_work(folder, options)
    parts = chunks.chunks_of(options)
    for _ in progress(chunks.render_chunks(work, options, workers), "rendering", "chunk", total=len(parts)):
        pass
    with atomic_directory(folder) as temporary:
        with RecordWriter(temporary) as writer:
            for chunk in parts:
                if chunk.part == "train":
                    for (_, identity, _), image in chunks.read_chunk(work, chunk):
                        writer.add(identity, image)
        if options.test_identities:
            _write_comparisons(temporary, work, options)
        summary = {
            "what": "rendered faces; no photographs of people",
            "options": dataclasses.asdict(options),
            "images": options.identities * options.images
            + options.test_identities * options.test_images * len(TEST_KINDS),
            "versions": chunks.versions(),
            "code": source_fingerprint(),
            "sha256": {name: fingerprint(os.path.join(temporary, name)) for name in sorted(os.listdir(temporary))},
        }
        write_json(os.path.join(temporary, "rendered.json"), summary)
    shutil.rmtree(work)
    return summary


def _write_comparisons(folder: str, work: str, options: RenderOptions) -> None:
    images = {
        key: image
        for chunk in chunks.chunks_of(options)
        if chunk.part == "test"
        for key, image in chunks.read_chunk(work, chunk)
    }
    for comparison in COMPARISONS:
        pairs = choose_pairs(comparison, options)
        encoded = (images[key] for pair in pairs for key in (pair.first, pair.second))
        write_pairs(os.path.join(folder, comparison.name + ".bin"), encoded, [pair.same for pair in pairs])
