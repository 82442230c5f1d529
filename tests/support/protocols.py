"""A small protocol in LFW's format, and images for protocols."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Dict, Iterable

from tests.support.face_sets import jpeg

LFW = """2\t2
Ann_Lee\t1\t3
Bo\t1\t2
Ann_Lee\t1\tBo\t12
Bo\t2\tCy\t1
Bo\t1\t12
Ann_Lee\t1\t2
Cy\t1\tBo\t1
Cy\t1\tAnn_Lee\t3
"""


def write_text(path: Path, text: str) -> str:
    """Write a text file and its folder. Return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return str(path)


def write_images(folder: Path, names: Iterable[str]) -> Dict[str, bytes]:
    """Write an image under each name below `folder`. Return the images by name."""
    images = {name: jpeg(number) for number, name in enumerate(sorted(names))}
    for name, image in images.items():
        path = os.path.join(str(folder), name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as stream:
            stream.write(image)
    return images
