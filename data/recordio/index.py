"""What a face set holds: image records, their labels and offsets, read without decoding anything.

    index = RecordIndex.open("faces")          # raises UserError unless it is fit to train on
    index.labels, index.num_classes            # int64, one an image; n
    label, jpeg = index.read(index.numbers[0])

InsightFace's layout (see data/recordio/writer.py) and plain im2rec files are both read. Labels may be
arrays (the first one counts), record numbers may start at 0 or 1, `.idx` may be missing (it is
rebuilt in memory), and so may `property` (classes and size are then taken from the records).
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import struct
from dataclasses import dataclass
from typing import Iterator, Optional, Tuple

import numpy as np

from arcface_mx.data.check.labels import Problem, find_problems
from arcface_mx.data.images import decode_bgr
from arcface_mx.data.recordio.scan import read_payload
from arcface_mx.data.recordio.survey import COPY, survey_records
from arcface_mx.data.recordio.writer import unpack
from arcface_mx.util.errors import UserError


@dataclass(frozen=True, eq=False)
class RecordIndex:
    """The image records of one .rec file, ascending by record number."""

    path: str  # of the .rec
    numbers: np.ndarray  # int64, N: record numbers of the images
    offsets: np.ndarray  # int64, N: where their records start in the file
    labels: np.ndarray  # int64, N: identities; −1 where the file's label is no whole number
    num_classes: int  # as `property` says; without it, the largest label + 1
    height: int
    width: int
    header: Optional[Tuple[int, int]]  # the two labels of record 0, None in a plain file
    identity_ranges: Optional[np.ndarray]  # int64, n×2: [first, last) record numbers, None in a plain file
    has_property: bool
    has_index_file: bool
    problems: Tuple[Problem, ...]  # empty after `open`

    @classmethod
    def open(cls, path: str) -> RecordIndex:
        """Read a folder with train.rec, or a .rec file, and refuse it unless it is fit to train on.

        Raises UserError naming file, record and remedy: no such file, a record cut off or not where
        the index says, labels that are not whole numbers 0…n−1 or leave out an identity, `property`,
        header record or identity records that disagree with the images.
        """
        index = cls.survey(path)
        if index.problems:
            more = len(index.problems) - 1
            other = f" ({more} more kinds of problem: arcface-mx data check)" if more else ""
            raise UserError(f"{index.path}: {index.problems[0]}{other}")
        return index

    @classmethod
    def survey(cls, path: str) -> RecordIndex:
        """As `open`, but keeps what is wrong in `problems` and leaves unreadable records out.

        Raises UserError only where there is nothing to survey.
        """
        record_path, index_path, property_path = _paths(path)
        stated = _read_property(property_path)
        records = survey_records(record_path, index_path)
        problems = list(records.problems)
        numbers, headers = records.numbers, records.headers
        image = headers.body != 0
        if not image.any():
            text = str(problems[0]) if problems else "holds no image; pack the images again"
            raise UserError(f"{record_path}: {text}")
        # A header record is the first one, has two labels and no image.
        has_header = bool(headers.flag[0] >= 2 and headers.body[0] == 0)
        identity = has_header & ~image & (headers.flag >= 2) & (numbers > numbers[image][-1])
        empty = ~image & ~identity
        empty[0] &= not has_header
        if empty.any():
            problems.append(Problem("holds no image", "pack the images again", tuple(numbers[empty].tolist())))
        labels = _whole(headers.label[image, 0])
        first, second = _whole(headers.label[0]).tolist()
        size = stated[1:] if stated else _image_size(record_path, records.offsets[image][0])
        index = cls(
            path=record_path,
            numbers=numbers[image],
            offsets=records.offsets[image],
            labels=labels,
            num_classes=stated[0] if stated else int(labels.max()) + 1,
            height=size[0],
            width=size[1],
            header=(first, second) if has_header else None,
            identity_ranges=_whole(headers.label[identity]) if has_header else None,
            has_property=stated is not None,
            has_index_file=os.path.exists(index_path),
            problems=(),
        )
        problems += find_problems(index, int(numbers[-1]), headers.label[image, 0])
        return dataclasses.replace(index, problems=tuple(problems))

    def __len__(self) -> int:
        return len(self.numbers)

    def read(self, number: int) -> Tuple[int, bytes]:
        """Label and encoded image of record `number`. Raises UserError where it is not an image."""
        position = int(np.searchsorted(self.numbers, number))
        if position == len(self) or self.numbers[position] != number:
            raise UserError(f"{self.path}: record {number} is not an image")
        for _, label, image in self.images(np.asarray([position])):
            return label, image
        raise AssertionError("unreachable")

    def images(self, positions: Optional[np.ndarray] = None) -> Iterator[Tuple[int, int, bytes]]:
        """Yield (record number, label, encoded image) at `positions` in the arrays (default: all)."""
        chosen = np.arange(len(self)) if positions is None else positions
        with open(self.path, "rb") as stream:
            for position in chosen:
                number = int(self.numbers[position])
                try:
                    payload = read_payload(stream.fileno(), int(self.offsets[position]))
                    _, image = unpack(payload)
                except ValueError as error:
                    raise UserError(f"{self.path}: record {number}: {error}; {COPY}") from None
                yield number, int(self.labels[position]), image

    @property
    def fingerprint(self) -> str:
        """SHA-256 over numbers, labels and contents of all image records."""
        digest = hashlib.sha256()
        for number, label, image in self.images():
            digest.update(struct.pack("<qqq", number, label, len(image)) + image)
        return digest.hexdigest()

    def groups(self) -> Tuple[np.ndarray, np.ndarray]:
        """Positions sorted by label, and n+1 bounds: identity i has order[bounds[i]:bounds[i+1]]."""
        order = np.argsort(self.labels, kind="stable")
        return order, np.searchsorted(self.labels[order], np.arange(self.num_classes + 1))


def _paths(path: str) -> Tuple[str, str, str]:
    record_path = path if path.endswith(".rec") else os.path.join(path, "train.rec")
    if not os.path.isfile(record_path):
        what = "there is no file train.rec in it" if os.path.isdir(path) else "no such file or folder"
        raise UserError(f"{path}: {what}; give a folder with train.rec, train.idx and property")
    return record_path, record_path[:-4] + ".idx", os.path.join(os.path.dirname(record_path), "property")


def _read_property(path: str) -> Optional[Tuple[int, int, int]]:
    if not os.path.exists(path):
        return None
    with open(path, "rb") as stream:
        text = stream.read(1000)
    try:
        classes, height, width = (int(word) for word in text.decode("ascii").strip().split(","))
    except ValueError:
        classes = height = width = 0
    if min(classes, height, width) < 1:
        raise UserError(f"{path}: must hold classes,height,width, such as 10572,112,112; it holds {text[:40]!r}")
    return classes, height, width


def _whole(labels: np.ndarray) -> np.ndarray:
    """float32 labels as int64; −1 where a label is no whole number ≥ 0."""
    with np.errstate(invalid="ignore"):
        good = (labels >= 0) & (labels < 2.0**62) & (np.floor(labels) == labels)
    return np.where(good, labels, -1).astype(np.int64)


def _image_size(path: str, offset: int) -> Tuple[int, int]:
    try:
        with open(path, "rb") as stream:
            _, image = unpack(read_payload(stream.fileno(), int(offset)))
        pixels = decode_bgr(image)
    except ValueError as error:
        raise UserError(f"{path}: the first image cannot be decoded ({error}); pack the images again") from None
    return pixels.shape[0], pixels.shape[1]
