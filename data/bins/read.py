"""Verification sets in InsightFace's `.bin` layout: a pickle of (images, same).

`images` holds 2·P encoded images (JPEG or PNG), pair k being images 2k and 2k+1; `same` holds P
booleans. The byte layout is on data/README.md. A file is read as data (`safe_pickle`), never
unpickled; its images stay in the file and are read one at a time, equal ones once.
"""

from __future__ import annotations

import hashlib
from typing import IO, Any, Dict, Iterator, List, Tuple, Union

import numpy as np

from arcface_mx.data.bins.pickle_values import Array, Span, array_values, read_span
from arcface_mx.data.bins.safe_pickle import read_pickle
from arcface_mx.data.images import decode_rgb
from arcface_mx.util.errors import UserError


class PairSet:
    """A verification set of P pairs over M distinct images (M ≤ 2·P).

    path: the file. left, right: (P,) int64, each pair's two images as numbers 0…M−1.
    same: (P,) bool. positions: (M,) int64, an image's first place in the file's list of 2·P.
    """

    def __init__(self, path: str, items: List[Span], places: np.ndarray, same: np.ndarray) -> None:
        self.path, self.same = path, same
        self.left, self.right = places[0::2], places[1::2]
        _, self.positions = np.unique(places, return_index=True)
        self._items = items

    def __len__(self) -> int:
        return len(self.same)

    @property
    def num_images(self) -> int:
        """M, the number of distinct images."""
        return len(self._items)

    def describe(self, number: int) -> str:
        """Where distinct image `number` stands in the file, for messages."""
        position = int(self.positions[number])
        return f"{self.path}: image {position} (pair {position // 2})"

    def images(self) -> Iterator[bytes]:
        """The M distinct images as encoded bytes, in the file's order."""
        with open(self.path, "rb") as stream:
            for number, item in enumerate(self._items):
                try:
                    yield read_span(stream, item)
                except ValueError as error:
                    raise UserError(f"{self.describe(number)}: the file changed while it was read: {error}") from error

    def pixels(self) -> Iterator[np.ndarray]:
        """The M distinct images decoded: uint8, (height, width, 3), RGB. Raises UserError naming the image."""
        for number, image in enumerate(self.images()):
            try:
                yield decode_rgb(image)
            except ValueError as error:
                raise UserError(f"{self.describe(number)}: {error}") from error


def read_pairs(path: str) -> PairSet:
    """Index a verification set; see PairSet. Reads Python 2 and 3 pickles of any protocol.

    Raises UserError, with the file and the byte or image number, when the file holds anything but
    (2·P encoded images, P booleans), is truncated, or asks for code.
    """
    images, same = _two_lists(path, read_pickle(path))
    with open(path, "rb") as stream:
        labels = _labels(path, stream, same)
        if not isinstance(images, (list, tuple)):
            raise UserError(f"{path}: its first part is {_kind(images)}, not a list of images")
        if not labels.size:
            raise UserError(f"{path}: it holds no pairs")
        if len(images) != 2 * labels.size:
            raise UserError(f"{path}: {len(images)} images for {labels.size} pairs; a pair takes two images")
        items, places = _distinct(path, stream, images)
    return PairSet(path, items, places, labels)


def _two_lists(path: str, value: Any) -> Tuple[Any, Any]:
    if isinstance(value, (list, tuple)) and len(value) == 2:
        return value[0], value[1]
    raise UserError(f"{path}: holds {_kind(value)}, not (images, same)")


def _labels(path: str, stream: IO[bytes], same: Any) -> np.ndarray:
    """The P labels as bool. Raises UserError when one is neither true nor false."""
    if isinstance(same, Array):
        try:
            values = array_values(stream, same).tolist()
        except ValueError as error:
            raise UserError(f"{path}: its array of labels is not well-formed: {error}") from error
    elif isinstance(same, (list, tuple)):
        values = same
    else:
        raise UserError(f"{path}: its second part is {_kind(same)}, not a list of booleans")
    for number, value in enumerate(values):
        if not isinstance(value, int) or value not in (0, 1):
            raise UserError(f"{path}: label of pair {number} is {_kind(value)}, not true or false")
    return np.asarray(values, bool)


def _distinct(path: str, stream: IO[bytes], images: Union[List[Any], Tuple[Any, ...]]) -> Tuple[List[Span], np.ndarray]:
    """The distinct images, and for each of the listed images its number among them."""
    by_span: Dict[Span, int] = {}
    by_hash: Dict[bytes, int] = {}
    items: List[Span] = []
    places = np.empty(len(images), np.int64)
    for position, image in enumerate(images):
        span = image.values if isinstance(image, Array) and image.dtype is not None else image
        if isinstance(image, Array) and (image.dtype is None or image.dtype.code != "u1"):
            raise UserError(f"{path}: image {position} is an array of another type than uint8")
        if not isinstance(span, Span) or not span.is_bytes:
            raise UserError(f"{path}: image {position} is {_kind(image)}, not encoded bytes")
        if span not in by_span:
            try:
                value = read_span(stream, span)
            except ValueError as error:
                raise UserError(f"{path}: image {position} at byte {span.offset}: {error}") from error
            if not value:
                raise UserError(f"{path}: image {position} is empty")
            by_span[span] = by_hash.setdefault(hashlib.sha256(value).digest(), len(items))
            if by_span[span] == len(items):
                items.append(span)
        places[position] = by_span[span]
    return items, places


def _kind(value: Any) -> str:
    """What a value is, for messages; never its contents."""
    if isinstance(value, Span):
        return "a byte string" if value.is_bytes else "text"
    if isinstance(value, Array):
        return "an array"
    if isinstance(value, int):
        return f"the number {value}"
    if isinstance(value, (list, tuple)):
        return f"a {type(value).__name__} of {len(value)}"
    return "nothing" if value is None else "a name"
