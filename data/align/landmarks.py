"""Read landmark files: five points for the face of each image.

Three kinds are read: the table that `arcface-mx data align` writes; CelebA's list_landmarks files
(txt and csv); and lists with one image per line: name, perhaps a label, ten numbers, perhaps the
detector's score, such as those published for CASIA-WebFace and for IJB.
"""

from __future__ import annotations

import contextlib
import csv
import io
from typing import Dict, List, Optional, Sequence, Tuple

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
    rows = _read_rows(path)
    landmarks: Dict[str, np.ndarray] = {}
    columns: Optional[List[int]] = None
    first = _first_column([words for _, words in rows])
    for number, words in rows:
        if not words or (len(words) == 1 and words[0].isdecimal()):  # CelebA's first line is a count
            continue
        heading = _find_columns(words)
        if heading is not None:
            columns = heading
            continue
        entry = _parse_entry(words, columns, first)
        if entry is None:
            raise UserError(
                f"{path}: line {number}: expected an image's name and ten numbers (x, y of {', '.join(NAMES)}), "
                "perhaps with a label before or a score behind them"
            )
        name, points = entry
        if name in landmarks:
            raise UserError(f"{path}: line {number}: {name} is listed twice; give one face per image")
        if points is not None:
            landmarks[name] = points
    if not landmarks:
        raise UserError(f"{path}: contains no landmarks")
    order = other_order(np.stack(list(landmarks.values())))
    if order:
        raise UserError(f"{path}: the order of the numbers looks like {order}; it must be x, y of {', '.join(NAMES)}")
    return landmarks


def _read_rows(path: str) -> List[Tuple[int, List[str]]]:
    """Number and words of each line. In a file with commas, a quoted name may contain commas and line breaks."""
    try:
        with open(path, encoding="utf-8-sig", errors="surrogateescape", newline="") as stream:
            text = stream.read()
        if "," not in text.partition("\n")[0]:
            return [(number, line.split()) for number, line in enumerate(text.splitlines(), 1)]
        reader = csv.reader(io.StringIO(text, newline=""))
        return [(reader.line_num, [word.strip() for word in row]) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: cannot be read as a text file of landmarks: {error}") from None


def _first_column(rows: Sequence[Sequence[str]]) -> int:
    """The column of the first of ten numbers, in lines of twelve words without a heading.

    The line is either name, label and ten numbers, as for CASIA-WebFace, or name, ten numbers and
    score, as for IJB. The points of the right reading look like faces.
    """
    sample = [row for row in rows if len(row) == 12][:MAX_SAMPLE]
    residuals = []
    for first in (2, 1):
        try:
            points = np.asarray([row[first : first + 10] for row in sample], float).reshape(-1, 5, 2)
        except ValueError:
            points = np.zeros((0, 5, 2))
        residuals.append(_median_residual(points))
    return 1 if residuals[1] < residuals[0] else 2


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


def _parse_entry(
    words: List[str], columns: Optional[List[int]], first: int
) -> Optional[Tuple[str, Optional[np.ndarray]]]:
    """Return image and landmarks (None if empty) of a line, or None if it has another form.

    `first` is the column of the first number in a line of twelve words.
    """
    if columns is None:
        if len(words) not in (11, 12):
            return None
        start = first if len(words) == 12 else 1
        columns = list(range(start, start + 10))
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


def other_order(landmarks: np.ndarray) -> str:
    """Return the name of another order of the numbers that fits a face far better; empty if there is none.

    landmarks: N×5×2.
    """
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
    return next((order for order, faces in orders.items() if _median_residual(faces) < limit), "")


def refuse_nonsense(landmarks: np.ndarray, source: str, limit: float, residual: Optional[float] = None) -> None:
    """Raise UserError if most landmarks do not fit a face. The message names the likely cause.

    Parameters
    ----------
    landmarks : np.ndarray of float, shape (n, 5, 2)
    source : str
        The file that they come from, or the detector's.
    limit : float
        Largest median residual in pixels.
    residual : float, optional
        Their median residual. By default it is computed.
    """
    residual = _median_residual(landmarks) if residual is None else residual
    if residual <= limit:
        return
    order = other_order(landmarks)
    cause = (
        f"their order looks like {order}; it must be {', '.join(NAMES)}"
        if order
        else "the numbers may be those of other columns or of other images; if all faces are profiles, raise "
        "`max_residual`"
    )
    raise UserError(
        f"{source}: the landmarks do not fit faces: their residual is {residual:.1f} "
        f"pixels (median of {len(landmarks)} images), and at most {limit:g} are accepted; {cause}"
    )


def _median_residual(faces: np.ndarray) -> float:
    residuals = []
    for face in faces:
        with contextlib.suppress(ValueError):
            residuals.append(similarity_transform(face, REFERENCE)[1])
    return float(np.median(residuals)) if residuals else np.inf
