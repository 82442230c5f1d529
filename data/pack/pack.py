"""Photos → train.rec, train.idx, property: in parallel, and the same bytes each time."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Dict, Iterator, List, Optional, Sequence, Set, Tuple, Union

import cv2
import numpy as np

from arcface_mx.data.align.transform import HEIGHT, WIDTH
from arcface_mx.data.bins.write import write_pairs
from arcface_mx.data.images import MAX_CAMERA_PIXELS, decode_or_none
from arcface_mx.data.pack.image_list import Photos, find_photos
from arcface_mx.data.protocols.identity_pairs import choose_pairs
from arcface_mx.data.recordio.writer import RecordWriter
from arcface_mx.util.errors import UserError
from arcface_mx.util.files import atomic_directory, write_json
from arcface_mx.util.progress import progress

QUALITY = 95
WAITING = 512  # photos read ahead of the writer
FITS = ("refuse", "pad", "stretch")


@dataclass(frozen=True)
class PackOptions:
    """How photos become records. A photo of the right size keeps its bytes, unless `quality` is given."""

    height: int = HEIGHT
    width: int = WIDTH
    fit: str = "refuse"  # photos of another size: refuse, pad (keeps shapes) or stretch
    quality: Optional[int] = None  # of JPEG, 1…100
    min_images: int = 1  # identities with fewer photos are left out
    held_out: float = 0  # identities kept from training: a number, or a share below 1
    seed: int = 0  # chooses them
    leave_out_bad: bool = False  # photos that cannot be used are listed and left out, not refused

    def check(self) -> None:
        if self.fit not in FITS:
            raise UserError(f"--fit {self.fit}: choose one of {', '.join(FITS)}")
        if self.quality is not None and not 1 <= self.quality <= 100:
            raise UserError(f"--quality {self.quality}: must lie in 1 to 100")
        if min(self.height, self.width) < 16:
            raise UserError(f"--size {self.height},{self.width}: must be at least 16 pixels")
        if self.min_images < 1:
            raise UserError(f"--min-images {self.min_images}: must be at least 1")
        if self.held_out < 0 or (self.held_out > 1 and self.held_out != int(self.held_out)):
            raise UserError(f"--held-out {self.held_out:g}: give a whole number of identities or a share below 1")


def pack(source: str, folder: str, options: PackOptions, workers: int = 1) -> Dict[str, Any]:
    """Pack the photos of `source` (see find_photos) into the new folder `folder`; returns pack.json.

    Labels 0…n−1 follow the identities' names (names.txt: label, name, photos). Held-out identities
    are in no record; held_out.bin has pairs of their photos (see people_pairs). Raises UserError,
    leaving nothing behind, where a photo cannot be used, naming it.
    """
    options.check()
    if os.path.exists(folder):
        raise UserError(f"{folder}: already there; give another folder or delete it")
    photos = find_photos(source)
    enough = [k for k, paths in enumerate(photos.paths) if len(paths) >= options.min_images]
    held_out = _held_out(photos, enough, options)
    training = [k for k in enough if k not in held_out]
    if not training:
        raise UserError(
            f"{source}: no identity is left to train on ({len(photos.names)} found, {len(enough)} with at "
            f"least {options.min_images} photos, {len(held_out)} held out)"
        )
    bad: List[str] = []
    with atomic_directory(folder) as temporary:
        images = _write_records(temporary, photos, training, options, workers, bad)
        if held_out:
            _write_held_out(temporary, photos, sorted(held_out), options, workers, bad)
        if bad and not options.leave_out_bad:
            raise UserError(
                "{}{}; mend or remove it, or give --leave-out-bad".format(
                    bad[0], f" (and {len(bad) - 1} more photos)" if len(bad) > 1 else ""
                )
            )
        summary = {
            "source": os.path.basename(os.path.abspath(source)),
            "images": sum(images),
            "identities": sum(count > 0 for count in images),
            "held_out_identities": len(held_out),
            "identities_left_out": [photos.names[k] for k in range(len(photos.names)) if k not in set(enough)],
            "photos_left_out": bad,
            "files_skipped": photos.skipped,
        }
        write_json(os.path.join(temporary, "pack.json"), summary)
    return summary


def _held_out(photos: Photos, enough: Sequence[int], options: PackOptions) -> Set[int]:
    wanted = options.held_out
    count = int(wanted) if wanted >= 1 else int(round(wanted * len(enough)))
    able = [k for k in enough if len(photos.paths[k]) > 1]
    if count > len(able):
        raise UserError(f"--held-out {wanted:g}: only {len(able)} identities have two photos or more")
    chosen = np.random.RandomState(options.seed).permutation(len(able))[:count]
    return {able[k] for k in chosen}


def _write_records(
    folder: str, photos: Photos, chosen: Sequence[int], options: PackOptions, workers: int, bad: List[str]
) -> List[int]:
    """Write the set and names.txt; returns the photos written of each chosen identity."""
    counts, names = [0] * len(chosen), []
    tasks = [(place, path) for place, k in enumerate(chosen) for path in photos.paths[k]]
    label, last = -1, -1
    with RecordWriter(folder, options.height, options.width) as writer:
        for (place, path), image in zip(tasks, _read_all([path for _, path in tasks], options, workers)):
            if isinstance(image, str):
                bad.append(image)
                continue
            if place != last:  # an identity without a usable photo gets no label
                label, last = label + 1, place
                names.append(photos.names[chosen[place]])
            writer.add(label, image)
            counts[place] += 1
        if not names:
            raise UserError(f"{bad[0]} (no photo can be used)")
    with open(os.path.join(folder, "names.txt"), "w", encoding="utf-8") as stream:
        used = [count for count in counts if count]
        for label, (name, count) in enumerate(zip(names, used)):
            stream.write(f"{label}\t{name}\t{count}\n")
    return counts


def _write_held_out(
    folder: str, photos: Photos, chosen: Sequence[int], options: PackOptions, workers: int, bad: List[str]
) -> None:
    people: List[List[bytes]] = []
    for k in chosen:
        images = list(_read_all(photos.paths[k], options, workers))
        bad += [image for image in images if isinstance(image, str)]
        people.append([image for image in images if not isinstance(image, str)])
    pairs = choose_pairs([len(images) for images in people], seed=options.seed)
    both = (photo for pair in pairs for photo in (pair.first, pair.second))
    write_pairs(os.path.join(folder, "held_out.bin"), (people[p][i] for p, i in both), [pair.same for pair in pairs])
    with open(os.path.join(folder, "held_out.txt"), "w", encoding="utf-8") as stream:
        stream.write("".join(f"{photos.names[k]}\n" for k in chosen))


def _read_all(paths: Sequence[str], options: PackOptions, workers: int) -> Iterator[Union[bytes, str]]:
    """Encoded images in order, or the reason why a photo cannot be used; a bounded number waits."""
    with ThreadPoolExecutor(workers) as pool:
        for start in progress(range(0, len(paths), WAITING), "packing", f"×{WAITING}"):
            yield from pool.map(lambda path: read_photo(path, options), paths[start : start + WAITING])


def read_photo(path: str, options: PackOptions) -> Union[bytes, str]:
    """A photo's encoded image of the set's size, or (a str) why there is none."""
    try:
        with open(path, "rb") as stream:
            data = stream.read()
    except OSError as error:
        return f"{path}: cannot be read: {error.strerror}"
    pixels = decode_or_none(data, MAX_CAMERA_PIXELS)
    if pixels is None:
        return f"{path}: cannot be decoded as an image"
    size = (options.height, options.width)
    if pixels.shape[:2] == size and options.quality is None and data[:3] in (b"\xff\xd8\xff", b"\x89PN"):
        return data
    if pixels.shape[:2] != size:
        if options.fit == "refuse":
            return (
                f"{path}: is {pixels.shape[0]}×{pixels.shape[1]} (height×width), not "
                f"{size[0]}×{size[1]}: align first (arcface-mx data align), or give --fit"
            )
        pixels = _fit(pixels, options)
    quality = QUALITY if options.quality is None else options.quality
    done, encoded = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return bytes(encoded) if done else f"{path}: cannot be encoded as JPEG"


def _fit(pixels: np.ndarray, options: PackOptions) -> np.ndarray:
    height, width = pixels.shape[:2]
    factor = min(options.height / height, options.width / width)
    inner = (options.height, options.width)
    if options.fit == "pad":
        inner = (max(1, round(height * factor)), max(1, round(width * factor)))
    method = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    pixels = cv2.resize(pixels, inner[::-1], interpolation=method)
    rows, columns = options.height - inner[0], options.width - inner[1]
    edges: Tuple[int, int, int, int] = (rows // 2, rows - rows // 2, columns // 2, columns - columns // 2)
    return cv2.copyMakeBorder(pixels, *edges, cv2.BORDER_REPLICATE)
