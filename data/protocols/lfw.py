"""Make lfw.bin from the images and the pairs of LFW (Huang et al., 2007)."""

from __future__ import annotations

import os
from typing import Dict, Optional, Tuple

from arcface_mx.data.align.folder import align_folder
from arcface_mx.data.align.image import SEVERAL, AlignOptions
from arcface_mx.data.protocols.formats import read_protocol
from arcface_mx.data.protocols.verification_set import (
    distinct_images,
    find_image,
    make_verification_set,
    refuse_missing,
)
from arcface_mx.util.errors import UserError
from arcface_mx.util.files import temporary_directory

FOLDERS = ("lfw-deepfunneled", "lfw_funneled", "lfw-funneled", "lfw")


def make_lfw(
    source: str,
    out: str,
    options: AlignOptions,
    pairs: Optional[str] = None,
    missing: Optional[str] = None,
    workers: int = 1,
) -> Dict[str, object]:
    """Align the images of LFW's pairs and write them as a verification set.

    Parameters
    ----------
    source : str
        Folder of LFW (original, funneled or deep-funneled), a folder that contains it, or
        scikit-learn's ``scikit_learn_data``.
    out : str
        The ``.bin`` file to write.
    options : AlignOptions
        How the images are aligned.
    pairs : str, optional
        LFW's ``pairs.txt`` or ``pairsDevTest.txt``. The default is ``pairs.txt`` beside the images.
    missing : str, optional
        If images are missing or have no detected face, write their names to this file.
    workers : int
        Number of processes.

    Returns
    -------
    dict
        The counts of `make_verification_set`, the number of images with several faces
        (``several_faces``) and the folder of the images (``images_from``).

    Raises
    ------
    UserError
        If an image is missing or has no detected face.
    """
    folder, pairs_path = find_lfw(source, pairs)
    paths = {name: find_image(folder, name) for name in distinct_images(read_protocol("lfw", pairs_path))}
    refuse_missing([name for name, path in paths.items() if not path], pairs_path, f"are not below {folder}", missing)
    images = [os.path.relpath(path, folder) for path in paths.values()]
    with temporary_directory() as temporary:
        crops = os.path.join(temporary, "crops")
        alignments = align_folder(folder, crops, options, workers, images)
        faceless = [alignment.path for alignment in alignments if not alignment.is_aligned]
        refuse_missing(faceless, pairs_path, f"below {folder} have no detected face", missing)
        summary = make_verification_set("lfw", pairs_path, crops, out)
    several = sum(alignment.status == SEVERAL for alignment in alignments)
    return {**summary, "several_faces": several, "images_from": folder}


def find_lfw(source: str, pairs: Optional[str] = None) -> Tuple[str, str]:
    """Return the folder of LFW's images and the path of pairs.txt, or raise UserError."""
    homes = [source, os.path.join(source, "lfw_home")]
    candidates = [path for home in homes for path in [home] + [os.path.join(home, name) for name in FOLDERS]]
    folder = next(filter(_contains_lfw, candidates), None)
    if folder is None:
        raise UserError(
            f"{source}: does not contain LFW (folders such as Aaron_Eckhart with Aaron_Eckhart_0001.jpg, either "
            f"directly or in {', '.join(FOLDERS)})"
        )
    if pairs is None:
        places = [os.path.join(place, "pairs.txt") for place in (folder, os.path.dirname(os.path.abspath(folder)))]
        pairs = next(filter(os.path.isfile, places), None)
    if pairs is None:
        raise UserError(f"{folder}: there is no pairs.txt beside the images; set `pairs`")
    return folder, pairs


def download_lfw(home: str) -> None:
    """Download LFW (funneled, 200 MB) to `home`/lfw_home. Scikit-learn checks the SHA-256."""
    from sklearn.datasets import fetch_lfw_pairs

    try:
        fetch_lfw_pairs(subset="test", data_home=home)
    except OSError as error:
        raise UserError(
            f"LFW cannot be downloaded to {home}: {error}; download it on another machine and give its folder"
        ) from error


def _contains_lfw(folder: str) -> bool:
    """Whether one of the first 50 sub-folders has an image that is named as in LFW."""
    if not os.path.isdir(folder):
        return False
    names = [name for name in sorted(os.listdir(folder)) if os.path.isdir(os.path.join(folder, name))]
    return any(find_image(os.path.join(folder, name), f"{name}_0001.jpg") for name in names[:50])
