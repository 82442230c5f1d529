"""Pack images into train.rec, train.idx and property, with the same bytes each time."""

from __future__ import annotations

import collections
import itertools
import os
from functools import partial
from typing import Any, Dict, Iterable, Iterator, List, Sequence, Tuple, Union

import numpy as np

from arcface_mx.data.bins.draw_pairs import write_drawn_pairs
from arcface_mx.data.image_files import IdentityImages, images_by_identity
from arcface_mx.data.pack.archives import TEMPORARY, Images, opened
from arcface_mx.data.pack.copies import Copies
from arcface_mx.data.pack.encode import PackOptions, encode_images
from arcface_mx.data.recordio.manifest import write_manifest
from arcface_mx.data.recordio.writer import RecordWriter
from arcface_mx.util.children import in_batches, run_batches
from arcface_mx.util.errors import UserError, printable
from arcface_mx.util.files import atomic_directory, refuse_existing, remove_abandoned, write_json
from arcface_mx.util.progress import progress

BATCH = 32  # images that a child process gets at a time

EncodedImages = Iterable[Tuple[int, bytes]]  # index of the identity, encoded image


def pack_images(source: str, folder: str, options: PackOptions, workers: int = 1) -> Dict[str, Any]:
    """Pack images into a new face set.

    Parameters
    ----------
    source : str
        A folder with one sub-folder per identity, a list file (see `images_by_identity`), a tar, zip or
        parquet file, or a folder of such files (see `archives.py`).
    folder : str
        The new folder. It appears when it is complete.
    options : PackOptions
        Size and encoding of the images, and which identities are left out or held out.
    workers : int
        Number of child processes that decode. It does not influence the result.

    Returns
    -------
    dict
        Counts, and what was left out; the contents of ``pack.json`` in the new folder.

    Raises
    ------
    UserError
        If the folder exists, if an image cannot be used, or if no identity is left to train on.

    Notes
    -----
    ``names.txt`` has a line ``label<TAB>name<TAB>number of images`` for each identity. Held-out
    identities have no records: ``held_out.bin`` contains pairs of their images (see `draw_pairs`). An
    identity that shares an image, byte for byte, with another one is not held out.
    """
    options.check()
    place = os.path.dirname(os.path.abspath(folder))
    if os.path.exists(folder):  # perhaps complete, by a process that was killed before it removed its images
        remove_abandoned(place, TEMPORARY)
    refuse_existing(folder)
    with opened(source, place, options.label_column) as images:
        return _pack(source, images, folder, options, workers)


def _pack(source: str, place: Images, folder: str, options: PackOptions, workers: int) -> Dict[str, Any]:
    images = images_by_identity(place.folder)
    copies = Copies(images.paths, workers)
    shared = copies.across()
    training, held_out = _choose_identities(source, images, options, copies)
    errors: List[str] = []
    with atomic_directory(folder) as temporary:
        encoded = _encode(images, training, options, workers, errors)
        with RecordWriter(temporary, options.height, options.width) as writer:
            counts = _add_all(writer, encoded)
            if not counts:
                raise UserError(f"{errors[0]} (none of the images can be used)")
        _write_names(temporary, images.names, counts)
        if held_out:
            encoded = _encode(images, held_out, options, workers, errors)
            _write_held_out(temporary, images.names, held_out, encoded, options.seed)
        if errors and not options.leave_out_bad:
            more = f" (and {len(errors) - 1} more images)" if len(errors) > 1 else ""
            raise UserError(f"{errors[0]}{more}; repair or remove it, or set `leave_out_bad`")
        summary = {
            "source": os.path.basename(os.path.abspath(source)),
            "images": sum(counts.values()),
            "identities": len(counts),
            "held_out_identities": len(held_out),
            "identities_left_out": [
                name for name, paths in zip(images.names, images.paths) if len(paths) < options.min_images
            ],
            "images_left_out": [place.shown(error) for error in errors],
            "files_skipped": [place.shown(path) for path in images.skipped],
            "images_of_several_identities": [[place.shown(path) for path in paths] for paths in shared],
        }
        write_json(os.path.join(temporary, "pack.json"), summary)
        write_manifest(temporary)
    return summary


def _choose_identities(
    source: str, images: IdentityImages, options: PackOptions, copies: Copies
) -> Tuple[List[int], List[int]]:
    """Return the identities to train on and the held-out identities, as indices."""
    eligible = [k for k, paths in enumerate(images.paths) if len(paths) >= options.min_images]
    # Copies of an image must not be on both sides, so identities that share an image are trained on.
    shared = {path for paths in copies.across() for path in paths}
    candidates = [k for k in eligible if copies.distinct(k) > 1 and not shared & set(images.paths[k])]
    count = int(options.held_out) if options.held_out >= 1 else int(round(options.held_out * len(eligible)))
    if count > len(candidates):
        raise UserError(
            f"`held_out` is {options.held_out:g}, but only {len(candidates)} identities have two or more images"
            + (" and share none with another identity" if shared else "")
        )
    order = np.random.RandomState(options.seed).permutation(len(candidates))
    held_out = {candidates[k] for k in order[:count]}
    training = [k for k in eligible if k not in held_out]
    if not training:
        raise UserError(
            f"{source}: no identity is left to train on: of {len(images.names)} identities {len(eligible)} have at "
            f"least {options.min_images} images, and {len(held_out)} are held out"
        )
    return training, sorted(held_out)


def _encode(
    images: IdentityImages, identities: Sequence[int], options: PackOptions, workers: int, errors: List[str]
) -> Iterator[Tuple[int, bytes]]:
    """Yield the usable images of `identities` in order, and append the other images to `errors`."""
    tasks = [(k, path) for k in identities for path in images.paths[k]]
    batches = in_batches((path for _, path in tasks), BATCH)
    # The images may come from strangers, so they are decoded in child processes, which may die.
    results = run_batches(partial(encode_images, options), batches, _crashed, workers)
    encoded = itertools.chain.from_iterable(results)
    for image, (k, _) in zip(progress(encoded, "packing", "images", total=len(tasks)), tasks):
        if isinstance(image, UserError):
            errors.append(str(image))
        else:
            yield k, image


def _crashed(path: str, reason: str) -> List[Union[bytes, UserError]]:
    return [UserError(f"{path}: cannot be decoded as an image: {reason}")]


def _add_all(writer: RecordWriter, encoded: EncodedImages) -> Dict[int, int]:
    """Add the images to the set. Return their number by identity, in the order of labels."""
    counts: Dict[int, int] = {}
    for k, image in encoded:
        counts[k] = counts.get(k, 0) + 1
        writer.add(len(counts) - 1, image)
    return counts


def _write_names(folder: str, names: Sequence[str], counts: Dict[int, int]) -> None:
    with open(os.path.join(folder, "names.txt"), "w", encoding="utf-8") as stream:
        for label, (k, count) in enumerate(counts.items()):
            stream.write(f"{label}\t{printable(names[k])}\t{count}\n")


def _write_held_out(
    folder: str, names: Sequence[str], identities: Sequence[int], encoded: EncodedImages, seed: int
) -> None:
    images: Dict[int, List[bytes]] = collections.defaultdict(list)
    for k, image in encoded:
        if image not in images[k]:  # a pair of an image with itself says nothing
            images[k].append(image)
    write_drawn_pairs(os.path.join(folder, "held_out.bin"), [images[k] for k in identities], seed)
    with open(os.path.join(folder, "held_out.txt"), "w", encoding="utf-8") as stream:
        stream.write("".join(f"{printable(names[k])}\n" for k in identities))
