"""`arcface-mx identify`: rank-k and DIR@FAR of a model on a gallery and probes."""

from __future__ import annotations

import argparse

from arcface_mx.cli.model_flags import add_flip_flag, add_model_flags, open_model

HELP = """measure identification: gallery, probes, distractors

GALLERY and PROBES are folders with one sub-folder a person, or lists with "photo identity" a line;
photos are aligned crops. Several gallery photos of a person are averaged. Probes of people outside
the gallery are the open set's unknown. Prints rank-k (closed set) and DIR at FAR (open set).

  arcface-mx identify runs/first gallery/ probes/ --distractors others/"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model_flags(parser)
    parser.add_argument("gallery", metavar="GALLERY", help="folder of identities, or list: photo identity")
    parser.add_argument("probes", metavar="PROBES", help="folder of identities, or list: photo identity")
    parser.add_argument(
        "--distractors", metavar="PHOTOS", help="folder or list of photos of others, each an entry of its own"
    )
    parser.add_argument("--images", metavar="FOLDER", help="where the lists' photos are (default: beside the list)")
    add_flip_flag(parser)
    parser.add_argument("--json", metavar="FILE", help="also write the results to FILE")


def run(args: argparse.Namespace) -> int:
    from arcface_mx.util.files import write_json
    from arcface_mx.verify.protocols import identification_table, identify_photos

    result = identify_photos(
        lambda: open_model(args), args.gallery, args.probes, args.distractors, args.images, args.batch_size, args.flip
    )
    print(identification_table(result))
    if args.json:
        write_json(args.json, result.to_json())
    return 0
