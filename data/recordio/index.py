"""The index of a face set: its image records with their labels and offsets, without decoding them.

    index = RecordIndex.open("faces")          # raises UserError unless it is fit for training
    index.labels, index.num_classes            # int64, one an image; n
    for number, label, jpeg in index.images(): ...

InsightFace's layout (see data/recordio/writer.py) and plain im2rec files are both read. Labels may be
arrays, whose first number counts. Record numbers may start at 0 or 1. If `.idx` is missing, it is
rebuilt in memory. If `property` is missing, classes and image size are taken from the records.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import struct
from dataclasses import dataclass
from typing import Iterator, Optional, Tuple

import numpy as np

from arcface_mx.data.image_structure import read_structure
from arcface_mx.data.recordio.problems import Problem, find_problems, first_image_problems
from arcface_mx.data.recordio.record import read_record
from arcface_mx.data.recordio.survey import COPY, survey_records
from arcface_mx.util.errors import UserError
from arcface_mx.util.progress import progress


@dataclass(frozen=True, eq=False)
class RecordIndex:
    """The N image records of one .rec file, ascending by record number.

    Attributes
    ----------
    path : str
        The .rec file.
    numbers : np.ndarray of int64, shape (N,)
        Record numbers.
    offsets : np.ndarray of int64, shape (N,)
        Where the records start in the file, in bytes.
    labels : np.ndarray of int64, shape (N,)
        Identities 0…n−1; −1 if the label in the file is no whole number.
    num_classes : int
        The number of identities n: that of `property`, else the largest label + 1.
    height, width : int
        Size of the images in pixels: that of `property`, else the first image's.
    header : tuple of two int, or None
        The labels of record 0; None in a plain file.
    identity_ranges : np.ndarray of int64, shape (n, 2), or None
        Each identity's record numbers, [first, last); None in a plain file.
    has_property, has_index_file : bool
        Whether these files exist.
    problems : tuple of Problem
        What makes the set unfit for training; empty after `open`.
    """

    path: str
    numbers: np.ndarray
    offsets: np.ndarray
    labels: np.ndarray
    num_classes: int
    height: int
    width: int
    header: Optional[Tuple[int, int]]
    identity_ranges: Optional[np.ndarray]
    has_property: bool
    has_index_file: bool
    problems: Tuple[Problem, ...]

    @classmethod
    def open(cls, path: str) -> RecordIndex:
        """Read the index of a face set that is fit for training.

        Parameters
        ----------
        path : str
            A folder with train.rec, or a .rec file.

        Returns
        -------
        RecordIndex
            The index, without problems.

        Raises
        ------
        UserError
            If there is no such file; if a record is cut off or not where the index says; if labels
            are not the whole numbers 0…n−1 or leave an identity out; if `property`, the header
            record or the identity records contradict the images. The message names the file,
            the record and a remedy.
        """
        index = cls.survey(path)
        problems = list(index.problems) or first_image_problems(index)
        if problems:
            more = len(problems) - 1
            other = f" ({more} more kinds of problem: arcface-mx data check)" if more else ""
            raise UserError(f"{index.path}: {problems[0]}{other}")
        return index

    @classmethod
    def survey(cls, path: str) -> RecordIndex:
        """Read the index of any face set. Records that cannot be read are left out.

        Parameters
        ----------
        path : str
            A folder with train.rec, or a .rec file.

        Returns
        -------
        RecordIndex
            The index. Its `problems` list what is wrong.

        Raises
        ------
        UserError
            If there is nothing to survey: no file, no image, or an unreadable `property` or index.
        """
        record_path, index_path, property_path = _paths(path)
        stated = _read_property(property_path)
        records = survey_records(record_path, index_path)
        problems, numbers, headers = list(records.problems), records.numbers, records.headers
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
        height, width = stated[1:] if stated else _image_size(record_path, int(records.offsets[image][0]))
        index = cls(
            path=record_path,
            numbers=numbers[image],
            offsets=records.offsets[image],
            labels=labels,
            num_classes=stated[0] if stated else int(labels.max()) + 1,
            height=height,
            width=width,
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

    def images(self, positions: Optional[np.ndarray] = None) -> Iterator[Tuple[int, int, bytes]]:
        """Yield images in any order. Several threads may iterate at a time.

        Parameters
        ----------
        positions : np.ndarray of int, optional
            Positions in the arrays of this index; by default all, in the order of the arrays.

        Yields
        ------
        (int, int, bytes)
            Record number, label and encoded image.

        Raises
        ------
        UserError
            If a record can no longer be read. The message names it.
        """
        with open(self.path, "rb") as stream:
            for position in range(len(self)) if positions is None else positions:
                number = int(self.numbers[position])
                try:
                    _, image = read_record(stream.fileno(), int(self.offsets[position]))
                except ValueError as error:
                    raise UserError(f"{self.path}: record {number}: {error}; {COPY}") from None
                yield number, int(self.labels[position]), image

    def groups(self) -> Tuple[np.ndarray, np.ndarray]:
        """Group the images by identity.

        Returns
        -------
        order : np.ndarray of int64, shape (N,)
            Positions, sorted by label.
        bounds : np.ndarray of int64, shape (n + 1,)
            The images of identity i are ``order[bounds[i]:bounds[i + 1]]``.
        """
        order = np.argsort(self.labels, kind="stable")
        return order, np.searchsorted(self.labels[order], np.arange(self.num_classes + 1))

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hexadecimal) of the images, which identifies the data of a training run.

        Notes
        -----
        The digest runs over all images, ascending by record number: record number, label and
        length of the encoded image as little-endian int64, then the encoded image. It does not
        depend on `property`, on the index file, on padding or on identity records. Reading the
        property reads the file once, in the order of the records.
        """
        digest = hashlib.sha256()
        name = f"fingerprint of {os.path.basename(self.path)}"
        for number, label, image in progress(self.images(), name, "images", total=len(self)):
            digest.update(struct.pack("<qqq", number, label, len(image)))
            digest.update(image)
        return digest.hexdigest()


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
    """float32 labels as int64; −1 if a label is no whole number ≥ 0."""
    with np.errstate(invalid="ignore"):
        is_whole = (labels >= 0) & (labels < 2.0**62) & (np.floor(labels) == labels)
    return np.where(is_whole, labels, -1).astype(np.int64)


def _image_size(path: str, offset: int) -> Tuple[int, int]:
    try:
        with open(path, "rb") as stream:
            structure = read_structure(read_record(stream.fileno(), offset)[1])
    except ValueError as error:
        raise UserError(f"{path}: the first image cannot be decoded ({error}); pack the images again") from None
    return structure.height, structure.width
