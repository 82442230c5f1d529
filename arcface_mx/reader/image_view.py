"""The image-only copy of a face set that MXNet's native iterator can read.

`mx.io.ImageRecordIter` dies on InsightFace's layout, because record 0 and the identity records
hold no image, and no index file cures it (its reader takes a record's length up to the next
offset). So the images are copied once, beside the original or into a cache folder where that is
read-only. Each copy's label is four float32 numbers, (label // 2**20, label % 2**20, record //
2**20, record % 2**20), because float32 holds whole numbers up to 2**24 only: labels stay exact
for any number of identities, and every row of a batch says which record it came from.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any, Dict, List, Optional, Tuple

import numpy as np

from arcface_mx.data.images import decode_bgr
from arcface_mx.data.recordio.index import RecordIndex
from arcface_mx.util.environment import available_cores
from arcface_mx.util.errors import UserError
from arcface_mx.util.files import cache_folder, sync_folder, write_json
from arcface_mx.util.progress import progress

LABEL_BASE = 1 << 20
FORMAT = 1
_NAME = "images-only"


@dataclass(frozen=True)
class ImageView:
    """A readable image-only record file: N images of n identities, all `height` × `width`."""

    record_file: str
    index_file: str
    images: int
    num_classes: int
    height: int
    width: int
    fingerprint: str  # SHA-256 over every image record of the original, labels included


def split_number(value: int) -> Tuple[float, float]:
    """A whole number as (high, low) parts that float32 holds exactly."""
    return float(value // LABEL_BASE), float(value % LABEL_BASE)


def join_numbers(parts: np.ndarray) -> np.ndarray:
    """Undo `split_number` on an N×2 array; int64."""
    whole = np.asarray(parts, np.float64)
    return (whole[:, 0] * LABEL_BASE + whole[:, 1]).astype(np.int64)


def open_view(folder: str, cache: Optional[str] = None) -> ImageView:
    """The image-only view of the face set in `folder`, made now if it is not there or is stale.

    `cache` is where it goes when `folder` cannot be written (default: `files.cache_folder`). Raises UserError on damaged records, naming file and record.
    """
    index = RecordIndex.open(folder)
    source = _source_stamp(index.path)
    for place in _places(folder, cache):
        view = _read(place, source)
        if view:
            return view
    for place in _places(folder, cache):
        try:
            os.makedirs(place, exist_ok=True)
        except OSError:
            continue
        if os.access(place, os.W_OK):
            return _make(index, place, source)
    raise UserError(f"{folder}: cannot be written, nor can a cache folder; set ARCFACE_MX_CACHE to a writable folder")


def _places(folder: str, cache: Optional[str]) -> List[str]:
    root = cache or cache_folder()
    name = hashlib.sha256(os.path.realpath(folder).encode()).hexdigest()[:16]
    return [folder, os.path.join(root, "views", name)]


def _source_stamp(path: str) -> Dict[str, int]:
    status = os.stat(path)
    return {"size": status.st_size, "mtime_ns": status.st_mtime_ns}


def _files(place: str) -> Tuple[str, str, str]:
    base = os.path.join(place, _NAME)
    return base + ".rec", base + ".idx", base + ".json"


def _read(place: str, source: Dict[str, int]) -> Optional[ImageView]:
    record_file, index_file, note_file = _files(place)
    try:
        with open(note_file, encoding="utf-8") as stream:
            note = json.load(stream)
        if note["format"] != FORMAT or note["source"] != source:
            return None
        if os.path.getsize(record_file) != note["bytes"] or not os.path.exists(index_file):
            return None
        return ImageView(record_file=record_file, index_file=index_file, **note["view"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _make(index: RecordIndex, place: str, source: Dict[str, int]) -> ImageView:
    from mxnet import recordio

    record_file, index_file, note_file = _files(place)
    temporary = [path + f".{os.getpid()}.tmp" for path in (record_file, index_file)]
    digest, shape = hashlib.sha256(), _Shape(index.path)
    writer = recordio.MXIndexedRecordIO(temporary[1], temporary[0], "w")
    try:
        with ThreadPoolExecutor(available_cores()) as pool:
            for start in progress(range(0, len(index), 1024), f"reading {index.path}", unit="kilo-image"):
                block = list(index.images(np.arange(start, min(start + 1024, len(index)))))
                for (number, _, _), size in zip(block, pool.map(shape.decode, block)):
                    shape.check(number, size)
                for number, label, image in block:
                    header = recordio.IRHeader(
                        0, np.asarray(split_number(label) + split_number(number), np.float32), number, 0
                    )
                    packed = recordio.pack(header, image)
                    digest.update(packed)
                    append(writer, number, packed, record_file)
        close_whole(writer, temporary[0], record_file)
        view: Dict[str, Any] = {
            "images": len(index),
            "num_classes": index.num_classes,
            "height": shape.size[0],
            "width": shape.size[1],
            "fingerprint": digest.hexdigest(),
        }
        length = os.path.getsize(temporary[0])
        os.replace(temporary[0], record_file)
        os.replace(temporary[1], index_file)
        sync_folder(place)
        write_json(note_file, {"format": FORMAT, "source": source, "bytes": length, "view": view})
    except OSError as error:
        raise UserError(f"{record_file}: cannot be written: {error.strerror}") from error
    finally:
        with contextlib.suppress(Exception):
            writer.close()
        for path in temporary:
            if os.path.exists(path):
                os.unlink(path)
    return ImageView(record_file=record_file, index_file=index_file, **view)


class _Shape:
    """Checks that each image decodes and that all have one size."""

    def __init__(self, path: str) -> None:
        self.path, self.size = path, (0, 0)

    def decode(self, record: Tuple[int, int, bytes]) -> Tuple[int, int]:
        """Height and width of a record's image; threads may call it."""
        number, _, image = record
        try:
            pixels = decode_bgr(image)
        except ValueError:
            raise UserError(
                f"{self.path}: record {number} holds no image that can be decoded ({len(image)} bytes). "
                "Find all such records with: arcface-mx data check"
            ) from None
        return pixels.shape[0], pixels.shape[1]

    def check(self, number: int, size: Tuple[int, int]) -> None:
        """In the file's order, so that the first image's size is the one that counts."""
        if self.size == (0, 0):
            self.size = size
        if size != self.size:
            raise UserError(
                "%s: record %d is %d×%d pixels, others are %d×%d; all images of a set must have one size"
                % ((self.path, number) + size + self.size)
            )


def as_dict(view: ImageView) -> Dict[str, Any]:
    """What a run folder records of its data."""
    return {key: value for key, value in asdict(view).items() if not key.endswith("_file")}


def append(stream: Any, number: int, payload: bytes, shown: str) -> None:
    """`write_idx` of an MXIndexedRecordIO; UserError, naming `shown`, where the disk takes no more."""
    from mxnet.base import MXNetError

    try:
        stream.write_idx(number, payload)
    except (OSError, MXNetError) as error:
        reason = getattr(error, "strerror", None) or "is the disk full?"
        raise UserError(f"{shown}: cannot be written: {reason}") from None


def close_whole(stream: Any, path: str, shown: str) -> None:
    """Close an MXIndexedRecordIO writer of `path`; UserError where the disk did not take all of it (MXNet says nothing)."""
    expected = stream.tell()
    try:
        stream.close()
    except OSError as error:
        raise UserError(f"{shown}: cannot be written: {error.strerror}") from None
    if os.path.getsize(path) != expected:
        raise UserError(
            f"{shown}: cannot be written: {os.path.getsize(path)} of {expected} bytes arrived; is the disk full?"
        )
