"""The head's arrays, read once from MakeHuman's files and stored in the cache folder.

They hold the body above the collar, eyes, teeth and tongue, every morph target that moves them
(float16: steps below 0.001 mm), and what is computed once from the template: ambient occlusion,
and the template's coordinates in texture space.
"""

from __future__ import annotations

import glob
import os
import zipfile
from typing import Callable, Dict, List, Sequence, Tuple

import cv2
import numpy as np

from arcface_mx.data.rendered import light, makehuman, raster, uv_map
from arcface_mx.util.errors import UserError
from arcface_mx.util.files import atomic_write, cache_folder

# Raise it when the arrays of this file change: it is in the name of the cache's file.
LAYOUT = 3

# Numbers of vertices in base.obj, the ends of ranges included.
BODY_END = 13380  # the vertices of the body come first
LEFT_EYE, RIGHT_EYE = (14598, 14669), (14670, 14741)  # the left eye is at +x
UPPER_LASHES = (14742, 14991)
NOSE_TIP, RIGHT_MOUTH_CORNER, LEFT_MOUTH_CORNER = 297, 424, 7184

COLLAR, SHOULDER = 5.25, 1.45  # the head is cut below this y and beyond this |x|, dm
SKULL = 6.6  # the vertices of the body above this y define the head's position, dm

MATERIALS = {
    "helper-l-eye": raster.LEFT_EYE,
    "helper-r-eye": raster.RIGHT_EYE,
    "helper-upper-teeth": raster.TEETH,
    "helper-lower-teeth": raster.TEETH,
    "helper-tongue": raster.TONGUE,
}
LOCAL_FOLDERS = ("head", "chin", "cheek", "ears", "eyes", "eyebrows", "forehead", "mouth", "neck", "nose", "asym")
# Two targets with these ends are the two signs of one coefficient.
OPPOSITE = dict(decr="incr", down="up", backward="forward", concave="convex", compress="uncompress", **{"in": "out"})
# Pose, measures and parts of the body: they do not shape a face.
EXCLUDED = ("head-trans", "head-angle", "measure", "asymm-")

Target = Callable[[str], np.ndarray]


def load() -> Dict[str, np.ndarray]:
    """The arrays of `build`, from the cache, or from the wheel the first time."""
    path = os.path.join(cache_folder(), f"head-{makehuman.WHEEL}-{makehuman.VERSION}-{LAYOUT}.npz")
    if not os.path.exists(path):
        arrays = build(makehuman.data_folder())
        try:
            with atomic_write(path) as stream:
                np.savez_compressed(stream, **arrays)
        except OSError as error:
            raise UserError(
                f"{path}: the cache cannot be written ({error}); set ARCFACE_MX_CACHE to a writable folder"
            ) from None
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise UserError(f"{path}: not readable ({error}); delete it, the next run makes it again") from None


def build(folder: str) -> Dict[str, np.ndarray]:
    """Make the arrays from the wheel's data folder. The return statement lists them."""
    mpfb = os.path.join(folder, "mpfb2")
    mesh = makehuman.read_mesh(os.path.join(mpfb, "3dobjs", "base.obj"))
    kept, triangles, material, uv = _cut_head(mesh)
    vertices = mesh.vertices[kept]
    body = kept < BODY_END

    def target(path: str) -> np.ndarray:
        return makehuman.read_target(path, len(mesh.vertices))[kept]

    macro = {
        name: target(path)
        for name, path in _targets(os.path.join(mpfb, "targets", "macrodetails"))
        if "-baby" not in name and "-child" not in name
    }
    rows, negative, positive = _local_rows(os.path.join(mpfb, "targets"), target)
    units = os.path.join(folder, "faceunits01", "targets", "faceunits")
    expression = {name: target(path) for name, path in _targets(units)}
    lips, ears, inside_mouth = (
        _mask(os.path.join(mpfb, "textures", f"mpfb_{name}.jpg"), uv) * body
        for name in ("lips", "ears", "inside-mouth")
    )
    skin = triangles[material == raster.SKIN]
    return {
        "vertices": vertices,  # (V, 3) float32, dm
        "triangles": triangles,  # (T, 3) int32, grouped by material
        "material": material,  # (T,) int32, see `raster`
        "body": body,  # (V,) bool
        "lips": lips,  # (V,) float32 in 0…1, like the next three
        "ears": ears,
        "inside_mouth": inside_mouth,
        "lash": _lash_line(mesh.vertices, vertices) * body,
        "left_eye": _places(kept, range(LEFT_EYE[0], LEFT_EYE[1] + 1)),
        "right_eye": _places(kept, range(RIGHT_EYE[0], RIGHT_EYE[1] + 1)),
        "landmarks": _places(kept, (NOSE_TIP, RIGHT_MOUTH_CORNER, LEFT_MOUTH_CORNER)),
        "macro_names": np.asarray(list(macro)),
        "macro": np.stack(list(macro.values())).astype(np.float16),  # (M, V, 3)
        "row_names": np.asarray(rows),
        "row_negative": negative,  # (R, V, 3) float16; zero where a row has one sign only
        "row_positive": positive,
        "expression_names": np.asarray(list(expression)),
        "expression": np.stack(list(expression.values())).astype(np.float16),  # (E, V, 3)
        "occlusion": light.ambient_occlusion(vertices, triangles, skin),  # (V,) float32; 1 is open
        "map": uv_map.bake_positions(vertices, skin),  # (H, W, 3) float32, dm
    }


def _cut_head(mesh: makehuman.ObjMesh) -> Tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Numbers of the kept vertices, triangles, their material, texture points of the vertices."""
    corners = mesh.vertices[mesh.faces]
    material = np.full(len(mesh.faces), -1, np.int32)
    inside = (corners[:, :, 1].min(1) > COLLAR) & (np.abs(corners[:, :, 0]).max(1) < SHOULDER)
    material[(mesh.groups == "body") & inside] = raster.SKIN
    for group, number in MATERIALS.items():
        material[mesh.groups == group] = number
    head = material >= 0
    kept, faces = np.unique(mesh.faces[head], return_inverse=True)
    faces = faces.reshape(-1, 4)
    uv = np.zeros((len(kept), 2), np.float32)
    uv[faces.ravel()] = mesh.texture_points[mesh.texture_faces[head].ravel()]
    triangles = np.concatenate([faces[:, [0, 1, 2]], faces[:, [0, 2, 3]]]).astype(np.int32)
    material = np.concatenate([material[head], material[head]])
    order = np.argsort(material, kind="stable")
    return kept, np.ascontiguousarray(triangles[order]), material[order], uv


def _targets(folder: str) -> List[Tuple[str, str]]:
    """Name and path of every target file."""
    paths = sorted(glob.glob(os.path.join(folder, "*.target*")))
    return [(os.path.basename(path).split(".target")[0], path) for path in paths]


def _local_rows(folder: str, target: Target) -> Tuple[List[str], np.ndarray, np.ndarray]:
    """Name, negative and positive displacements of every local coefficient."""
    targets = {
        name: target(path)
        for part in LOCAL_FOLDERS
        for name, path in _targets(os.path.join(folder, part))
        if not name.startswith(EXCLUDED)
    }
    targets = {name: moved for name, moved in targets.items() if np.abs(moved).max() > 1e-5}
    pairs = {}  # a coefficient has the name of its positive end
    for name in sorted(targets):
        stem, _, end = name.rpartition("-")
        positive = f"{stem}-{OPPOSITE.get(end, '')}"
        if positive in targets:
            pairs[positive] = name
    rows = [*pairs, *sorted(set(targets) - set(pairs) - set(pairs.values()))]
    zero = np.zeros_like(targets[rows[0]])
    negative = np.stack([targets[pairs[name]] if name in pairs else zero for name in rows])
    return rows, negative.astype(np.float16), np.stack([targets[name] for name in rows]).astype(np.float16)


def _mask(path: str, uv: np.ndarray) -> np.ndarray:
    """Value of a UV mask at every vertex, (V,) float32 in 0…1."""
    image = cv2.imread(path, cv2.IMREAD_GRAYSCALE)
    if image is None:
        raise UserError(f"{path}: not readable; run: {makehuman.install_command()}")
    smooth = cv2.GaussianBlur(image.astype(np.float32) / 255, (0, 0), 1.2)
    height, width = smooth.shape
    x = np.clip((uv[:, 0] * width).astype(int), 0, width - 1)
    y = np.clip(((1 - uv[:, 1]) * height).astype(int), 0, height - 1)
    return smooth[y, x]


def _lash_line(all_vertices: np.ndarray, vertices: np.ndarray) -> np.ndarray:
    """1 at the roots of the upper lashes, falling to 0 at 3 mm from them."""
    lashes = all_vertices[UPPER_LASHES[0] : UPPER_LASHES[1] + 1]
    upper = lashes[lashes[:, 1] > 7.255]
    nearest = np.asarray([np.sqrt(((upper - point) ** 2).sum(1)).min() for point in vertices])
    return np.clip(1 - nearest / 0.030, 0, 1).astype(np.float32)


def _places(kept: np.ndarray, numbers: Sequence[int]) -> np.ndarray:
    """Places in `kept`, which is sorted, of vertex numbers of base.obj."""
    return np.searchsorted(kept, list(numbers))
