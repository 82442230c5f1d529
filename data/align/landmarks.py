"""Read landmark files: five points for the face of each image.

Three kinds are read: the table that `arcface-mx data align` writes; CelebA's list_landmarks files
(txt and csv); and lists with one image per line, name first and ten numbers last, such as those
published for CASIA-WebFace.
"""

from __future__ import annotations

import contextlib
from typing import Dict, List, Optional, Tuple

import numpy as np

from arcface_mx.data.align.transform import REFERENCE, similarity_transform
from arcface_mx.util.errors import UserError

NAMES = ("left_eye", "right_eye", "nose", "mouth_left", "mouth_right")
COLUMNS = tuple(f"{name}_{axis}" for name in NAMES for axis in "xy")
MAX_SAMPLE = 200  # faces whose order of landmarks is checked


def read_landmarks(path: str) -> Dict[str, np.ndarray]:
    """Read a landmark file.

    Parameters
    ----------
    path : str
        The file, see above.

    Returns
    -------
    dict of str to np.ndarray of float64, shape (5, 2)
        x and y of left eye, right eye, nose, left and right mouth corner in pixels, by the image's
        name in the file. "Left" is the viewer's left. Images without landmarks are left out.

    Raises
    ------
    UserError
        If the file cannot be read, if a line has another form, if an image is listed twice, or if
        the landmarks are clearly in another order.
    """
    try:
        with open(path, encoding="utf-8-sig") as stream:
            lines = stream.read().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read as a text file of landmarks: {error}") from None
    landmarks: Dict[str, np.ndarray] = {}
    columns: Optional[List[int]] = None
    for number, line in enumerate(lines, 1):
        words = _split(line)
        if not words or (len(words) == 1 and words[0].isdecimal()):  # CelebA's first line is a count
            continue
        heading = _find_columns(words)
        if heading is not None:
            columns = heading
            continue
        entry = _parse_entry(words, columns)
        if entry is None:
            raise UserError(
                f"{path}: line {number}: expected an image's name and ten numbers (x, y of {', '.join(NAMES)})"
            )
        name, points = entry
        if name in landmarks:
            raise UserError(f"{path}: line {number}: {name} is listed twice; give one face per image")
        if points is not None:
            landmarks[name] = points
    if not landmarks:
        raise UserError(f"{path}: contains no landmarks")
    _check_order(path, np.stack(list(landmarks.values())))
    return landmarks


def _split(line: str) -> List[str]:
    return [word.strip() for word in line.split(",")] if "," in line else line.split()


def _find_columns(words: List[str]) -> Optional[List[int]]:
    """Return the columns of the ten numbers if this line is a heading, else None."""
    plain = [word.lower().replace("_", "") for word in words]
    # CelebA writes leftmouth_x.
    plain = [word.replace("leftmouth", "mouthleft").replace("rightmouth", "mouthright") for word in plain]
    wanted = [name.replace("_", "") for name in COLUMNS]
    if not set(wanted) <= set(plain):
        return None
    columns = [plain.index(name) for name in wanted]
    # The heading of CelebA's .txt has no word for the column of the image.
    return columns if len(words) > 10 else [column + 1 for column in columns]


def _parse_entry(words: List[str], columns: Optional[List[int]]) -> Optional[Tuple[str, Optional[np.ndarray]]]:
    """Return image and landmarks (None if empty) of a line, or None if it has another form."""
    if columns is None:
        if len(words) not in (11, 12):  # a label may stand between the image and the numbers
            return None
        columns = list(range(len(words) - 10, len(words)))
    if len(words) <= max(columns):
        return None
    texts = [words[column] for column in columns]
    if not any(texts):
        return words[0], None
    try:
        values = np.asarray([float(text) for text in texts])
    except ValueError:
        return None
    return (words[0], values.reshape(5, 2)) if np.isfinite(values).all() else None


def _check_order(path: str, landmarks: np.ndarray) -> None:
    """Raise UserError if another order of the numbers fits a face far better."""
    sample = landmarks[:: max(1, len(landmarks) // MAX_SAMPLE)]
    flat = sample.reshape(len(sample), 10)
    orders = {
        "all x, then all y": np.stack([flat[:, :5], flat[:, 5:]], 2),
        # A face is symmetric, so these three errors look the same.
        "mirrored (left and right exchanged, y before x, or the mouth before the eyes)": sample[:, [1, 0, 2, 4, 3]],
        "the mouth before the nose": sample[:, [0, 1, 4, 2, 3]],
    }
    # Profiles fit no order well, so a better fit must also be a good one.
    limit = min(10.0, 0.6 * _median_residual(sample))
    for order, faces in orders.items():
        if _median_residual(faces) < limit:
            raise UserError(
                f"{path}: the order of the numbers looks like {order}; it must be x, y of {', '.join(NAMES)}"
            )


def _median_residual(faces: np.ndarray) -> float:
    residuals = []
    for face in faces:
        with contextlib.suppress(ValueError):
            residuals.append(similarity_transform(face, REFERENCE)[1])
    return float(np.median(residuals)) if residuals else np.inf
