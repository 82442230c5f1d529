"""Read verification sets in InsightFace's `.bin` layout: a pickle of (images, same).

`images` holds 2·P encoded images (JPEG or PNG), pair k being images 2k and 2k+1; `same` holds P
booleans. data/README.md describes the bytes. A file is read as data and never unpickled; see
`pickle_reader`.
"""

from __future__ import annotations

import hashlib
import os
from typing import Any, Dict, Iterator, List, Sequence, Tuple

import numpy as np

from arcface_mx.data.bins.pickle_reader import Array, PickleFile, String, read_pickle
from arcface_mx.data.images import decode_rgb
from arcface_mx.util.errors import UserError


class PairSet:
    """A verification set of P pairs over M distinct images, which stay in the file.

    Parameters
    ----------
    path : str
        The file.
    images : list of String
        Where the M distinct images lie in the file.
    numbers : np.ndarray of int64, shape (2 * P,)
        The distinct image at each position of the file's list.
    same : np.ndarray of bool, shape (P,)
        Whether a pair shows one identity.

    Attributes
    ----------
    left, right : np.ndarray of int64, shape (P,)
        The two images of each pair, as numbers 0…M−1.
    positions : np.ndarray of int64, shape (M,)
        The first position of each distinct image in the file's list of 2·P images.
    """

    def __init__(self, path: str, images: List[String], numbers: np.ndarray, same: np.ndarray) -> None:
        self.path, self.same = path, same
        self.left, self.right = numbers[0::2], numbers[1::2]
        _, self.positions = np.unique(numbers, return_index=True)
        self._images = images

    def __len__(self) -> int:
        return len(self.same)

    @property
    def num_images(self) -> int:
        """M, the number of distinct images."""
        return len(self._images)

    def describe(self, number: int) -> str:
        """Return file, position and pair of a distinct image, for messages.

        Parameters
        ----------
        number : int

        Returns
        -------
        str
        """
        position = int(self.positions[number])
        return f"{self.path}: image {position} (pair {position // 2})"

    def images(self) -> Iterator[bytes]:
        """Yield the M distinct images as encoded bytes, in the order of the file.

        Yields
        ------
        bytes

        Raises
        ------
        UserError
            If the file has changed since it was opened.
        """
        with PickleFile(self.path) as file:
            for number, image in enumerate(self._images):
                try:
                    yield file.load(image)
                except ValueError as error:
                    raise UserError(f"{self.describe(number)}: {error}") from error

    def pixels(self) -> Iterator[np.ndarray]:
        """Yield the M distinct images, decoded.

        Yields
        ------
        ndarray of uint8, shape (height, width, 3)
            RGB.

        Raises
        ------
        UserError
            If an image cannot be decoded. The message names the image.
        """
        for number, image in enumerate(self.images()):
            try:
                yield decode_rgb(image)
            except ValueError as error:
                raise UserError(f"{self.describe(number)}: {error}") from error


def read_pairs(path: str) -> PairSet:
    """Open a verification set written by Python 2 or 3, in any pickle protocol.

    Parameters
    ----------
    path : str
        A `.bin` file: a pickle of (2·P encoded images, P booleans).

    Returns
    -------
    PairSet
        The pairs. Equal images are one, and all images stay in the file.

    Raises
    ------
    UserError
        If the file holds anything else, is truncated, or asks for code to be run. The message
        names the file and the byte or the image.
    """
    if os.path.isdir(path):
        inside = sorted(name for name in os.listdir(path) if name.endswith(".bin"))
        raise UserError(
            f"{path}: cannot be read: it is a folder; give {os.path.join(path, inside[0]) if inside else 'a .bin file'}"
        )
    value = read_pickle(path)
    if not isinstance(value, (list, tuple)) or len(value) != 2:
        raise UserError(f"{path}: holds {_kind(value)}, not (images, same)")
    images, same = value
    with PickleFile(path) as file:
        labels = _labels(path, file, same)
        if not isinstance(images, (list, tuple)):
            raise UserError(f"{path}: its first part is {_kind(images)}, not a list of images")
        if not labels.size:
            raise UserError(f"{path}: it holds no pairs")
        if len(images) != 2 * labels.size:
            raise UserError(f"{path}: {len(images)} images for {labels.size} pairs; a pair takes two images")
        distinct, numbers = _distinct(path, file, images)
    return PairSet(path, distinct, numbers, labels)


def _labels(path: str, file: PickleFile, same: Any) -> np.ndarray:
    """The P labels as bool."""
    if isinstance(same, Array):
        try:
            same = np.frombuffer(file.load(same.values), same.code).tolist()
        except ValueError as error:
            raise UserError(f"{path}: its array of labels is not well-formed: {error}") from error
    if not isinstance(same, (list, tuple)):
        raise UserError(f"{path}: its second part is {_kind(same)}, not a list of booleans")
    for pair, value in enumerate(same):
        if not isinstance(value, int) or value not in (0, 1):
            raise UserError(f"{path}: label of pair {pair} is {_kind(value)}, not true or false")
    return np.asarray(same, bool)


def _distinct(path: str, file: PickleFile, images: Sequence[Any]) -> Tuple[List[String], np.ndarray]:
    """The distinct images, and for each listed image its number among them."""
    by_string: Dict[String, int] = {}  # an image that the pickle repeats is hashed once
    by_digest: Dict[bytes, int] = {}
    distinct: List[String] = []
    numbers = np.empty(len(images), np.int64)
    for position, image in enumerate(images):
        if isinstance(image, Array) and image.code != "u1":
            raise UserError(f"{path}: image {position} is an array of another type than uint8")
        string = image.values if isinstance(image, Array) else image
        if not isinstance(string, String) or string.is_text:
            raise UserError(f"{path}: image {position} is {_kind(image)}, not encoded bytes")
        if not string.length:
            raise UserError(f"{path}: image {position} is empty")
        if string not in by_string:
            digest = hashlib.sha256(file.load(string)).digest()
            by_string[string] = by_digest.setdefault(digest, len(distinct))
            if by_string[string] == len(distinct):
                distinct.append(string)
        numbers[position] = by_string[string]
    return distinct, numbers


def _kind(value: Any) -> str:
    """What a value is, for messages. Its contents are not shown."""
    if isinstance(value, String):
        return "text" if value.is_text else "a byte string"
    if isinstance(value, Array):
        return "an array"
    if isinstance(value, int):
        return f"the number {value}"
    if isinstance(value, (list, tuple)):
        return f"a {type(value).__name__} of {len(value)}"
    return "nothing" if value is None else "a name"
