"""Read the released lists of IJB-B and IJB-C: the folder `meta` that InsightFace's evaluation uses.

| file | line |
|---|---|
| ijbc_face_tid_mid.txt | `image template medium` |
| ijbc_name_5pts_score.txt | `image x1 y1 … x5 y5 score`: five points and the score of the face detector |
| ijbc_template_pair_label.txt | `template template 1-or-0`, see `template_pairs.py` |
| ijbc_1N_gallery_G1.csv, _G2.csv (IJB-B: _S1, _S2), ijbc_1N_probe_mixed.csv | header; `template,subject,…` |
"""

from __future__ import annotations

import os
import re
from typing import Dict, List, NamedTuple, Optional

import numpy as np

from arcface_mx.data.image_files import read_lines
from arcface_mx.util.errors import UserError

LISTS, POINTS = "_face_tid_mid.txt", "_name_5pts_score.txt"
SETS = {"ijbb": ("IJB-B", "S"), "ijbc": ("IJB-C", "G")}


class Subjects(NamedTuple):
    """Templates with their subjects: a gallery or the probes of 1:N search.

    Attributes
    ----------
    templates : ndarray of str, shape (T,)
        Sorted and distinct.
    subjects : ndarray of str, shape (T,)
    """

    templates: np.ndarray
    subjects: np.ndarray


class IjbLists(NamedTuple):
    """Lists of IJB-B or IJB-C.

    Attributes
    ----------
    name : str
        IJB-B or IJB-C.
    source : str
        Path of the list of templates.
    images : list of str
        Names of the n images.
    templates, media : ndarray of str, shape (n,)
    points : ndarray of float32, shape (n, 5, 2)
        x and y of the landmarks in pixels.
    scores : ndarray of float32, shape (n,)
        Scores of the face detector.
    pairs : str
        Path of the list of template pairs.
    galleries : dict of str to Subjects
        The two galleries of 1:N search by name; empty where their files are not there.
    probes : Subjects or None
    """

    name: str
    source: str
    images: List[str]
    templates: np.ndarray
    media: np.ndarray
    points: np.ndarray
    scores: np.ndarray
    pairs: str
    galleries: Dict[str, Subjects]
    probes: Optional[Subjects]

    @property
    def points_path(self) -> str:
        """Path of the list of landmarks."""
        return self.source[: -len(LISTS)] + POINTS


def read_ijb(folder: str) -> IjbLists:
    """Read the lists of IJB-B or IJB-C.

    Parameters
    ----------
    folder : str
        The folder ``meta``, with the released names.

    Returns
    -------
    IjbLists

    Raises
    ------
    UserError
        If a list is missing, a line has another form, or the lists do not fit each other.
    """
    found = [name for name in SETS if os.path.isfile(os.path.join(folder, name + LISTS))]
    if len(found) != 1:
        raise UserError(
            f"{folder}: contains {len(found)} of {' and '.join(name + LISTS for name in SETS)}; give the folder meta "
            "of IJB-B or of IJB-C"
        )
    prefix = os.path.join(folder, found[0])
    name, letter = SETS[found[0]]
    images, templates, media = _read_templates(prefix + LISTS)
    points, scores = _read_points(prefix + POINTS, images, prefix + LISTS)
    names = [f"{letter}{number}" for number in (1, 2)]
    paths = [f"{prefix}_1N_gallery_{gallery}.csv" for gallery in names] + [prefix + "_1N_probe_mixed.csv"]
    there = [path for path in paths if os.path.exists(path)]
    if there and len(there) < len(paths):
        absent = next(path for path in paths if path not in there)
        raise UserError(f"{absent}: no such file; 1:N search needs both galleries and the probes, or none of them")
    known = set(templates)
    subjects = [_read_subjects(path, known, prefix + LISTS) for path in there]
    return IjbLists(
        name=name,
        source=prefix + LISTS,
        images=images,
        templates=np.asarray(templates),
        media=np.asarray(media),
        points=points,
        scores=scores,
        pairs=prefix + "_template_pair_label.txt",
        galleries=dict(zip(names, subjects)),
        probes=subjects[2] if subjects else None,
    )


def _read_templates(path: str) -> List[List[str]]:
    """Images, templates and media."""
    rows = []
    for number, line in read_lines(path):
        words = line.split()
        if len(words) != 3:
            raise UserError(f"{path}: line {number} is {line[:60]!r}; it must be: image template medium")
        rows.append(words)
    return [list(column) for column in zip(*rows)]


def _read_points(path: str, images: List[str], source: str) -> List[np.ndarray]:
    """Landmarks (n, 5, 2) and detector scores (n,), which must be of the same images in the same order."""
    lines = read_lines(path)
    values: List[float] = []
    for place, (number, line) in enumerate(lines):
        words = line.split()
        try:
            values += map(float, words[1:])
        except ValueError:
            words = []
        if len(words) != 12:
            raise _bad_points(path, number, line)
        if place < len(images) and words[0] != images[place]:
            raise UserError(f"{path}: line {number} is of image {words[0]}, but {source} has {images[place]} there")
    if len(lines) != len(images):
        raise UserError(f"{path}: has {len(lines)} images, but {source} has {len(images)}")
    table = np.asarray(values, np.float32).reshape(-1, 11)
    bad = np.flatnonzero(~np.isfinite(table).all(axis=1))
    if bad.size:
        raise _bad_points(path, *lines[bad[0]])
    return [table[:, :10].reshape(-1, 5, 2), table[:, 10]]


def _bad_points(path: str, number: int, line: str) -> UserError:
    return UserError(f"{path}: line {number} is {line[:60]!r}; it must be: image, five points (x y), score")


def _read_subjects(path: str, known: set[str], source: str) -> Subjects:
    """The subject of each template; a template may stand on a line for each of its images."""
    subjects: Dict[str, str] = {}
    for number, line in read_lines(path)[1:]:
        words = [word.strip() for word in line.split(",")]
        if len(words) < 2 or not all(re.fullmatch("[0-9]+", word) for word in words[:2]):
            raise UserError(f"{path}: line {number} is {line[:60]!r}; it must be: template,subject")
        if words[0] not in known:
            raise UserError(f"{path}: line {number}: there is no template {words[0]} in {source}")
        if subjects.setdefault(words[0], words[1]) != words[1]:
            raise UserError(f"{path}: line {number}: template {words[0]} has subjects {subjects[words[0]]}, {words[1]}")
    if not subjects:
        raise UserError(f"{path}: contains no template")
    templates = np.asarray(sorted(subjects))
    return Subjects(templates, np.asarray([subjects[template] for template in templates.tolist()]))
