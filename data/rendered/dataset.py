"""The data set: `train.rec`, `train.idx`, `property`, three `.bin` files and `rendered.json`."""

from __future__ import annotations

import dataclasses
import os
import shutil
from typing import TYPE_CHECKING, Dict, Mapping, Sequence

from arcface_mx.data.bins.write import write_pairs
from arcface_mx.data.recordio.manifest import write_manifest
from arcface_mx.data.recordio.writer import RecordWriter
from arcface_mx.data.rendered.options import RenderOptions
from arcface_mx.util.errors import UserError
from arcface_mx.util.files import atomic_directory, fingerprint, write_json
from arcface_mx.util.progress import progress

if TYPE_CHECKING:
    from arcface_mx.data.rendered.sets import Pair

SUMMARY = "rendered.json"


def render_dataset(folder: str, options: RenderOptions, workers: int = 1) -> Dict[str, object]:
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
    from arcface_mx.data.rendered import chunks  # needs numba, an optional package
    from arcface_mx.data.rendered.sets import COMPARISONS, choose_pairs

    options.check()
    comparisons = COMPARISONS if options.test_identities else ()
    pairs = {comparison.name: choose_pairs(comparison, options) for comparison in comparisons}
    if workers < 1:
        raise UserError(f"`workers` must be at least 1, got {workers}")
    if os.path.exists(os.path.join(folder, SUMMARY)):
        chunks.remove_work(folder, options)
    _refuse_existing(folder)
    with chunks.hold_work(folder):
        _refuse_existing(folder)  # another process may have finished it since
        work = chunks.open_work(folder, options)
        parts = chunks.chunks_of(options)
        for _ in progress(chunks.render_chunks(work, options, workers), "rendering", "chunk", total=len(parts)):
            pass
        with atomic_directory(folder) as temporary:
            _write_set(temporary, work, options, pairs)
            sums = {name: fingerprint(os.path.join(temporary, name)) for name in sorted(os.listdir(temporary))}
            summary = {
                "what": "rendered faces; no photographs of people",
                "options": dataclasses.asdict(options),
                "images": sum(chunk.num_images for chunk in parts),
                **chunks.provenance(),
                "sha256": sums,
            }
            write_json(os.path.join(temporary, SUMMARY), summary)
            write_manifest(temporary, sums)
        shutil.rmtree(work)
    return summary


def _refuse_existing(folder: str) -> None:
    if os.path.exists(folder) and (not os.path.isdir(folder) or os.listdir(folder)):
        raise UserError(f"{folder}: already there; choose another folder or delete it")


def _write_set(folder: str, work: str, options: RenderOptions, pairs: Mapping[str, Sequence[Pair]]) -> None:
    """Write the records and the verification sets from the rendered chunks."""
    from arcface_mx.data.rendered import chunks

    parts = chunks.chunks_of(options)
    with RecordWriter(folder) as writer:
        for (_, identity, _), image in chunks.read_part(work, parts, "train"):
            writer.add(identity, image)
    images = dict(chunks.read_part(work, parts, "test"))
    for name, chosen in pairs.items():
        encoded = (images[key] for pair in chosen for key in (pair.first, pair.second))
        write_pairs(os.path.join(folder, f"{name}.bin"), encoded, [pair.same for pair in chosen])
