"""Contact sheets: ten people in rows, ten photos of each, rendered for looking at."""

from __future__ import annotations

import os
from typing import Dict, List, Tuple

import numpy as np

from arcface_mx.data.images import decode_rgb
from arcface_mx.data.rendered import chunks
from arcface_mx.data.rendered.sets import FRONTAL, MIXED, OLD, PROFILE, TRAINING, YOUNG, Kind, Options
from arcface_mx.util.files import atomic_write

PEOPLE, PHOTOS = 10, 10
QUALITY = 80  # JPEG
# Each sheet's columns: kinds and how many photos of each.
SHEETS: Dict[str, Tuple[Tuple[Kind, int], ...]] = {
    "training": ((TRAINING, 10),),
    "mixed": ((MIXED, 10),),
    "frontal_profile": ((FRONTAL, 5), (PROFILE, 5)),
    "ages": ((YOUNG, 5), (OLD, 5)),
}


def write_sheets(folder: str, seed: int = 0, supersampling: float = 1.5) -> List[str]:
    """Write the sheets as JPEG into `folder`; returns their paths. Ages rise from left to right."""
    import cv2

    with chunks.one_thread():
        chunks.prepare(Options(supersampling=supersampling))
        paths = []
        for name, columns in SHEETS.items():
            rows = [np.hstack(_row(columns, seed, person)) for person in range(PEOPLE)]
            path = os.path.join(folder, f"rendered_{name}.jpg")
            _, encoded = cv2.imencode(".jpg", np.vstack(rows)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
            with atomic_write(path) as stream:
                stream.write(encoded.tobytes())
            paths.append(path)
    return paths


def _row(columns: Tuple[Tuple[Kind, int], ...], seed: int, person: int) -> List[np.ndarray]:
    row = []
    for kind, count in columns:
        photos = chunks.person_photos((kind,), seed, person, count)
        order = sorted(range(count), key=lambda number: kind.age(number) or 0.0)
        row += [decode_rgb(photos[number]) for number in order]
    return row
