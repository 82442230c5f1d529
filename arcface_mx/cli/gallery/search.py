"""`arcface-mx gallery search`: name the identities of images."""

from __future__ import annotations

import argparse

from arcface_mx.cli.shared.face_flags import (
    add_all_faces_flag,
    add_calibration_flag,
    add_workers_flag,
    face_options,
    model_calibration,
    print_skipped,
)
from arcface_mx.cli.shared.model_flags import add_images_flag, add_json_flag, add_model_flags, open_model

HELP = """name the identities that images show, or "unknown"

Among N entries a stranger is named with probability 1 − (1 − FMR)^N. The threshold makes that
probability equal to --fpir; it comes from the model's own calibration and rises with the size of
the gallery. --fpir 1 always names the nearest identity. --align and --flip are those of the
gallery. An image with several faces has a note; --all-faces searches for each of them.
A large gallery is mapped into memory: it is read, and checked, only while it is searched.

  arcface-mx gallery search runs/first people.npz new.jpg --fpir 0.01"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model_flags(parser)
    parser.add_argument("gallery", metavar="GALLERY.npz", help="file of gallery build")
    parser.add_argument("source", metavar="IMAGES", help="image, folder or list")
    add_images_flag(parser)
    parser.add_argument("-k", type=int, default=3, help="identities listed for each image (default: %(default)s)")
    parser.add_argument(
        "--fpir", type=float, default=0.01, help="share of strangers that may be named (default: %(default)s)"
    )
    parser.add_argument("--faiss", action="store_true", help="search with faiss' flat index, with the same result")
    add_calibration_flag(parser)
    add_all_faces_flag(parser)
    add_workers_flag(parser)
    add_json_flag(parser)


def run(args: argparse.Namespace) -> int:
    from dataclasses import asdict

    from arcface_mx.data.image_files import image_paths
    from arcface_mx.faces.find import SearchOptions, answer_lines, find_identities
    from arcface_mx.faces.gallery import read_gallery
    from arcface_mx.util.files import write_json

    gallery, paths = read_gallery(args.gallery), image_paths(args.source, args.images)
    args.align, args.flip = gallery.align, gallery.flip
    calibration = model_calibration(args) if args.fpir < 1 else None
    result = find_identities(
        lambda: open_model(args),
        args.model,
        gallery,
        paths,
        calibration,
        face_options(args),
        SearchOptions(args.fpir, args.k, args.faiss),
        args.input,
    )
    print("\n".join(answer_lines(result)))
    if any(answer.note.startswith("several faces") for answer in result.images):
        print("--all-faces searches for each face of an image")
    print_skipped(result.skipped)
    if args.json:
        write_json(args.json, asdict(result))
    return 1 if result.skipped else 0
