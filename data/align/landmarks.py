"""Landmark files: for each photo the five points of its face.

Read: the table that `data align` writes; CelebA's list_landmarks files (txt and csv); and lists
with a line a photo, name first and the ten numbers last, as those published for CASIA-WebFace.
"""

from __future__ import annotations

import contextlib
import re
from typing import Dict, List, Optional, Tuple

import numpy as np

from arcface_mx.data.align.transform import REFERENCE, similarity
from arcface_mx.util.errors import UserError

POINT_NAMES = ("left_eye", "right_eye", "nose", "mouth_left", "mouth_right")
COLUMNS = tuple(f"{point}_{axis}" for point in POINT_NAMES for axis in "xy")


def read_points(path: str) -> Dict[str, np.ndarray]:
    """{name of the photo as it stands in the file: 5×2 float64}; lines without points are left out.

    Raises UserError with the line's number where a line is not understood, where a name stands
    twice, and where the points are plainly not in the order of POINT_NAMES.
    """
    try:
        with open(path, encoding="utf-8-sig") as stream:
            lines = stream.read().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read as a text file of landmarks: {error}") from None
    found: Dict[str, np.ndarray] = {}
    columns: Optional[List[int]] = None
    for number, line in enumerate(lines, 1):
        words = _split(line)
        if not words or (len(words) == 1 and words[0].isdecimal()):  # CelebA's first line is a count
            continue
        heading = _columns(words)
        if heading is not None:
            columns = heading
            continue
        entry = _entry(words, columns)
        if entry is None:
            raise UserError(
                f"{path}: line {number}: expected a photo's name and ten numbers (x, y of {', '.join(POINT_NAMES)})"
            )
        name, points = entry
        if name in found:
            raise UserError(f"{path}: line {number}: {name} stands twice; one face a photo")
        if points is not None:
            found[name] = points
    if not found:
        raise UserError(f"{path}: holds no landmarks")
    _check_order(path, np.stack(list(found.values())))
    return found


def _split(line: str) -> List[str]:
    line = line.strip()
    return [word.strip() for word in line.split(",")] if "," in line else re.split(r"\s+", line) if line else []


def _columns(words: List[str]) -> Optional[List[int]]:
    """Where the ten numbers stand, if this line is a heading."""
    plain = [word.lower().replace("_", "") for word in words]
    wanted = [name.replace("_", "") for name in COLUMNS]
    # CelebA writes leftmouth_x.
    plain = [word.replace("leftmouth", "mouthleft").replace("rightmouth", "mouthright") for word in plain]
    if not set(wanted) <= set(plain):
        return None
    places = [plain.index(name) for name in wanted]
    # A whitespace heading as in CelebA's .txt has no name for the photo's column.
    return places if len(words) > 10 else [place + 1 for place in places]


def _entry(words: List[str], columns: Optional[List[int]]) -> Optional[Tuple[str, Optional[np.ndarray]]]:
    if columns is None:
        if len(words) not in (11, 12):  # a label may stand between name and points
            return None
        columns = list(range(len(words) - 10, len(words)))
    if len(words) <= max(columns):
        return None
    texts = [words[place] for place in columns]
    if not any(texts):
        return words[0], None
    try:
        values = np.asarray([float(text) for text in texts])
    except ValueError:
        return None
    return (words[0], values.reshape(5, 2)) if np.isfinite(values).all() else None


def _check_order(path: str, points: np.ndarray) -> None:
    """Refuse an order of numbers that another order explains far better; profiles fit no order well."""

    def misfit(faces: np.ndarray) -> float:
        residuals = []
        for face in faces:
            with contextlib.suppress(ValueError):
                residuals.append(similarity(face, REFERENCE)[1])
        return float(np.median(residuals)) if residuals else np.inf

    sample = points[:: max(1, len(points) // 200)]
    flat = sample.reshape(len(sample), 10)
    others = {
        "all x, then all y": np.stack([flat[:, :5], flat[:, 5:]], 2),
        # A face is symmetric: these three look the same.
        "mirrored (left and right exchanged, y before x, or the mouth before the eyes)": sample[:, [1, 0, 2, 4, 3]],
        "the mouth before the nose": sample[:, [0, 1, 4, 2, 3]],
    }
    own = misfit(sample)
    for order, faces in others.items():
        other = misfit(faces)
        if other < 10 and other < 0.6 * own:
            raise UserError(
                f"{path}: the order of the numbers looks like {order}; it must be x, y of {', '.join(POINT_NAMES)}"
            )
