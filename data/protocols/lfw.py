"""LFW (Huang et al., 2007): its photos and pairs.txt → lfw.bin, aligned.

Read are the archives' folders (lfw, lfw_funneled, lfw-deepfunneled), a folder that holds one, and
scikit-learn's scikit_learn_data/lfw_home.
"""

from __future__ import annotations

import os
import tempfile
from typing import Any, Dict, List, Optional, Tuple

from arcface_mx.data.align.folder import align_folder
from arcface_mx.data.align.image import SEVERAL, AlignOptions, is_aligned
from arcface_mx.data.protocols.pairs import distinct_photos, find_photo, make_pairs
from arcface_mx.data.protocols.published import read_protocol
from arcface_mx.util.errors import UserError
from arcface_mx.util.files import atomic_write

FOLDERS = ("lfw-deepfunneled", "lfw_funneled", "lfw-funneled", "lfw")
PAIRS = "pairs.txt"


def make_lfw(
    source: str,
    out: str,
    options: AlignOptions,
    pairs: Optional[str] = None,
    missing: Optional[str] = None,
    workers: int = 1,
) -> Dict[str, Any]:
    """Align the photos of LFW's pairs and write them as `out`; returns the counts.

    source: see above; pairs: LFW's pairs.txt, or pairsDevTest.txt; None: looked for beside the
    photos. missing: a file that gets the names of photos that are not there or without a face.
    Raises UserError where one is missing or has no face.
    """
    photos, pairs_path = find_lfw(source, pairs)
    wanted = distinct_photos(read_protocol("lfw", pairs_path))
    paths = {name: find_photo(photos, name) for name in wanted}
    _refuse([name for name, path in paths.items() if path is None], "are not below", photos, missing)
    there = [os.path.relpath(path, photos) for path in paths.values() if path is not None]
    with tempfile.TemporaryDirectory(prefix="arcface-mx-lfw-") as temporary:
        crops = os.path.join(temporary, "crops")
        outcomes = align_folder(photos, crops, options, workers, there)
        _refuse([o.photo for o in outcomes if not is_aligned(o)], "have no face that was found, below", photos, missing)
        summary = make_pairs("lfw", pairs_path, crops, out)
    return {**summary, "several_faces": sum(o.status == SEVERAL for o in outcomes), "photos_from": photos}


def _refuse(names: List[str], what: str, photos: str, missing: Optional[str]) -> None:
    if not names:
        return
    if missing:
        with atomic_write(missing, "w") as stream:
            stream.write("".join(f"{name}\n" for name in names))
    raise UserError(
        f"{len(names)} photos of the pairs {what} {photos}: {', '.join(names[:5])}{' …' if len(names) > 5 else ''}"
    )


def find_lfw(source: str, pairs: Optional[str] = None) -> Tuple[str, str]:
    """(folder with a sub-folder a person, pairs.txt). Raises UserError where either is not found."""
    homes = [source, os.path.join(source, "lfw_home")]
    photos = next(
        (
            place
            for home in homes
            for place in [home] + [os.path.join(home, name) for name in FOLDERS]
            if _holds_people(place)
        ),
        None,
    )
    if photos is None:
        raise UserError(
            f"{source}: holds no LFW (folders such as Aaron_Eckhart with Aaron_Eckhart_0001.jpg, itself or in {', '.join(FOLDERS)})"
        )
    beside = [os.path.join(place, PAIRS) for place in (photos, os.path.dirname(os.path.abspath(photos)))]
    found = pairs or next((path for path in beside if os.path.isfile(path)), None)
    if found is None:
        raise UserError(f"{photos}: there is no pairs.txt beside the photos; give it with --pairs")
    return photos, found


def _holds_people(folder: str) -> bool:
    if not os.path.isdir(folder):
        return False
    people = [name for name in sorted(os.listdir(folder)) if os.path.isdir(os.path.join(folder, name))][:50]
    return any(find_photo(os.path.join(folder, name), name + "_0001.jpg") for name in people)


def download_lfw(home: str) -> None:
    """Fetch LFW (funneled, 200 MB) into `home`/lfw_home with scikit-learn, which checks the files' SHA-256."""
    from sklearn.datasets import fetch_lfw_pairs

    try:
        fetch_lfw_pairs(subset="test", data_home=home)
    except OSError as error:
        raise UserError(
            f"LFW cannot be downloaded to {home}: {error}; fetch it elsewhere and give its folder"
        ) from error
