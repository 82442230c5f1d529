"""The data set: `train.rec`, `train.idx`, `property`, three `.bin` files and `rendered.json`."""

from __future__ import annotations

import dataclasses
import os
import shutil
from typing import Dict

from arcface_mx.data.bins.write import write_pairs
from arcface_mx.data.recordio.writer import RecordWriter
from arcface_mx.data.rendered.options import RenderOptions
from arcface_mx.util.errors import UserError
from arcface_mx.util.files import atomic_directory, fingerprint, write_json
from arcface_mx.util.progress import progress


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
    if os.path.exists(folder) and (not os.path.isdir(folder) or os.listdir(folder)):
        raise UserError(f"{folder}: already there; choose another folder or delete it")
    work = chunks.open_work(folder, options)
    parts = chunks.chunks_of(options)
    for _ in progress(chunks.render_chunks(work, options, workers), "rendering", "chunk", total=len(parts)):
        pass
    with atomic_directory(folder) as temporary:
        with RecordWriter(temporary) as writer:
            for (_, identity, _), image in chunks.read_part(work, parts, "train"):
                writer.add(identity, image)
        images = dict(chunks.read_part(work, parts, "test"))
        for name, chosen in pairs.items():
            encoded = (images[key] for pair in chosen for key in (pair.first, pair.second))
            write_pairs(os.path.join(temporary, f"{name}.bin"), encoded, [pair.same for pair in chosen])
        summary = {
            "what": "rendered faces; no photographs of people",
            "options": dataclasses.asdict(options),
            "images": sum(chunk.num_images for chunk in parts),
            **chunks.provenance(),
            "sha256": {name: fingerprint(os.path.join(temporary, name)) for name in sorted(os.listdir(temporary))},
        }
        write_json(os.path.join(temporary, "rendered.json"), summary)
    shutil.rmtree(work)
    return summary
