"""Text files with one photo a line, then the words that a protocol needs."""

from __future__ import annotations

import os
from typing import List, Optional, Tuple

from arcface_mx.util.errors import UserError


def read_lines(path: str) -> List[Tuple[int, str]]:
    """(line number from 1, stripped text) of the lines that are not empty and no # comment.

    Raises UserError where the file cannot be read, is no text, or has no such line.
    """
    try:
        with open(path, encoding="utf-8-sig") as stream:
            lines = [(number, line.strip()) for number, line in enumerate(stream, 1)]
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: is no text file (UTF-8)") from error
    filled = [(number, line) for number, line in lines if line and not line.startswith("#")]
    if not filled:
        raise UserError(f"{path}: is empty: it lists no photo")
    return filled


def existing_photo(path: str, number: int, photo: str, images: Optional[str] = None) -> str:
    """Path of a photo named in a list: below `images`, else beside the list. Raises UserError naming the line."""
    place = os.path.join(images or os.path.dirname(path), photo)
    if not os.path.isfile(place):
        raise UserError(f"{path}: line {number}: there is no file {place}")
    return place


def read_words(path: str, count: int, images: Optional[str] = None) -> Tuple[List[str], List[List[str]]]:
    """(photo paths, `count` words after each) of a list file. A photo's name may hold spaces.

    Raises UserError naming the line that is too short or whose photo is missing.
    """
    paths: List[str] = []
    words: List[List[str]] = []
    for number, line in read_lines(path):
        parts = line.rsplit(None, count) if count else [line]
        if len(parts) != count + 1:
            raise UserError(f"{path}: line {number} is {line[:60]!r}; it must be a photo and {count} words")
        paths.append(existing_photo(path, number, parts[0], images))
        words.append(parts[1:])
    return paths, words
