"""Rendered and real crops side by side: brightness, contrast, colour, sharpness, mean face.

python -m arcface_mx.data.rendered.realism rendered_lfw.bin lfw.bin --out mean_faces.png
"""

from __future__ import annotations

import argparse
from typing import Dict, List, Sequence, Tuple

import numpy as np

from arcface_mx.data.bins.read import read_pairs
from arcface_mx.util.files import atomic_write

MOST = 2000  # images of a set that are read
FACE = (slice(30, 105), slice(26, 86))  # rows and columns of the middle of the face
Figures = Dict[str, Tuple[float, float]]  # mean and deviation over photos


def statistics(images: np.ndarray) -> Figures:
    """images (N, 112, 112, 3) uint8 RGB. Grey levels, but for chroma (CIELAB, 8 bit)."""
    import cv2

    rows: List[List[float]] = []
    for image in images:
        grey = image.astype(np.float32).mean(2)
        face, colour = grey[FACE], image[FACE].astype(np.float32).mean((0, 1))
        lab = cv2.cvtColor(np.ascontiguousarray(image[FACE]), cv2.COLOR_RGB2LAB).astype(np.float32)
        chroma = float(np.hypot(lab[..., 1] - 128, lab[..., 2] - 128).mean())
        sharp = float(np.abs(cv2.Laplacian(face, cv2.CV_32F)).mean())
        rows.append([grey.mean(), grey.std(), face.mean(), face.std(), *colour, chroma, sharp])
    table = np.asarray(rows)
    names = (
        "photo mean",
        "photo contrast",
        "face mean",
        "face contrast",
        "face red",
        "face green",
        "face blue",
        "face chroma",
        "face |Laplacian|",
    )
    return {name: (float(table[:, k].mean()), float(table[:, k].std())) for k, name in enumerate(names)}


def mean_faces(sets: Sequence[np.ndarray]) -> np.ndarray:
    """The mean photo of each set, side by side, twice as large, uint8 RGB."""
    import cv2

    row = np.hstack([images.mean(0) for images in sets]).astype(np.uint8)
    return cv2.resize(row, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)


def read_images(path: str) -> np.ndarray:
    """At most MOST images of a `.bin`, spread over the file, (N, 112, 112, 3) uint8 RGB."""
    pairs = read_pairs(path)
    step = max(1, -(-pairs.num_images // MOST))
    return np.stack([image for number, image in enumerate(pairs.pixels()) if number % step == 0])


def main(arguments: Sequence[str] = ()) -> None:
    import cv2

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bins", nargs="+", metavar="BIN", help="verification sets to compare")
    parser.add_argument("--out", metavar="PNG", help="write the mean faces there")
    args = parser.parse_args(arguments or None)
    sets = [read_images(path) for path in args.bins]
    figures = [statistics(images) for images in sets]
    print("mean (deviation over photos)  " + "  ".join(args.bins))
    for name in figures[0]:
        print(f"{name:28}" + "  ".join("{:6.1f} ({:4.1f})".format(*one[name]) for one in figures))
    if args.out:
        _, encoded = cv2.imencode(".png", mean_faces(sets)[..., ::-1])
        with atomic_write(args.out) as stream:
            stream.write(encoded.tobytes())


if __name__ == "__main__":
    main()
