"""`arcface-mx gallery search`: who is it?"""

from __future__ import annotations

import argparse

from arcface_mx.cli.face_flags import add_calibration_flag, face_options, model_calibration, print_skipped
from arcface_mx.cli.model_flags import add_images_flag, add_model_flags, open_model

HELP = """the people of a gallery that photos show, or "unknown"

A stranger among N entries is taken for somebody with probability 1 − (1 − FMR)^N; the threshold is
the one at which that is --fpir, from the model's own calibration. It rises with the gallery. --fpir
1 names the nearest in any case. --align and --flip are those of the gallery.

  arcface-mx gallery search runs/first people.npz new.jpg --fpir 0.01"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model_flags(parser)
    parser.add_argument("gallery", metavar="GALLERY.npz", help="what gallery build wrote")
    parser.add_argument("photos", metavar="PHOTOS", help="photo, folder or list")
    add_images_flag(parser)
    parser.add_argument("-k", type=int, default=3, help="people shown for each photo (default: %(default)s)")
    parser.add_argument(
        "--fpir", type=float, default=0.01, help="share of strangers that may be named (default: %(default)s)"
    )
    parser.add_argument("--faiss", action="store_true", help="search with faiss' flat index (the same answer)")
    add_calibration_flag(parser)
    parser.add_argument(
        "--workers", type=int, metavar="W", help="threads or processes that read photos (default: one a core)"
    )
    parser.add_argument("--json", metavar="FILE", help="also write the answers to FILE")


def run(args: argparse.Namespace) -> int:
    from arcface_mx.data.pack.image_list import photo_paths
    from arcface_mx.faces.find import find_people, table_lines
    from arcface_mx.faces.gallery import read_gallery
    from arcface_mx.util.files import write_json

    gallery, paths = read_gallery(args.gallery), photo_paths(args.photos, args.images)
    args.align, args.flip = gallery.align, gallery.flip
    calibration = model_calibration(args, gallery.flip) if args.fpir < 1 else None
    answer = find_people(
        lambda: open_model(args),
        args.model,
        gallery,
        paths,
        calibration,
        args.fpir,
        args.k,
        face_options(args),
        args.faiss,
    )
    print("\n".join(table_lines(answer)))
    print_skipped(answer.skipped, answer.reasons)
    if args.json:
        write_json(args.json, answer.to_json())
    return 1 if answer.skipped else 0
