"""Read MegaFace's lists: images of FaceScrub (probes) and of MegaFace (distractors), and lists of noisy images.

| list | line |
|---|---|
| facescrub_lst | `identity/image.png` |
| megaface_lst | `folder/folder/image.jpg` |
| facescrub_noises.txt | `image.png` |
| megaface_noises.txt | `folder/folder/image.jpg`, perhaps with a number and a tab before it |
"""

from __future__ import annotations

import os
from typing import List, NamedTuple, Optional, Set

from arcface_mx.data.image_files import read_lines
from arcface_mx.data.protocols.verification_set import find_image, refuse_missing
from arcface_mx.util.errors import UserError


class ListedImages(NamedTuple):
    """Images of a list without the noisy ones."""

    paths: List[str]
    identities: List[str]  # the folder of each image
    noisy: int  # how many were left out


def read_listed_images(path: str, folder: str, noises: Optional[str] = None) -> ListedImages:
    """Read a list of images, and leave out those of a list of noisy images.

    Parameters
    ----------
    path : str
        The list; images are named with at least one folder.
    folder : str
        The folder of the images.
    noises : str, optional
        List of noisy images. An entry without a folder is a file name.

    Returns
    -------
    ListedImages

    Raises
    ------
    UserError
        If a line has no folder, an image is listed twice or missing, or the list of noisy images has no
        image of the list.
    """
    noisy = _read_noises(noises) if noises else set()
    kept: List[str] = []
    seen: Set[str] = set()
    absent: List[str] = []
    left_out = 0
    found: List[str] = []
    for number, line in read_lines(path):
        parts = line.split("/")
        if len(parts) < 2:
            raise UserError(f"{path}: line {number} is {line[:60]!r}; it must be: folder/image")
        if line in seen:
            raise UserError(f"{path}: line {number}: {line} is listed twice")
        seen.add(line)
        if parts[-1] in noisy or "/".join(parts[-3:]) in noisy or "/".join(parts[-2:]) in noisy:
            left_out += 1
            continue
        image = find_image(folder, line)
        if not image:
            absent.append(f"{line} (line {number})")
        kept.append(line)
        found.append(image)
    refuse_missing(absent, path, f"are not below {folder}", None)
    if noises and not left_out:
        raise UserError(f"{noises}: none of its {len(noisy)} images is in {path}; is it the list of these images?")
    if not kept:
        raise UserError(f"{path}: all images are noisy")
    return ListedImages(found, [os.path.dirname(line) for line in kept], left_out)


def _read_noises(path: str) -> Set[str]:
    return {line.split("\t")[-1].strip() for _, line in read_lines(path)}
