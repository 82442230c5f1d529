"""`arcface-mx identify`: rank-k and DIR at FAR of a model on a gallery and probes."""

from __future__ import annotations

import argparse

from arcface_mx.cli.shared.model_flags import add_flip_flag, add_images_flag, add_json_flag, add_model_flags, open_model

HELP = """measure identification with a gallery, probes and distractors

GALLERY and PROBES are folders with one sub-folder per identity, or lists with "image identity" on a
line; images are aligned crops. The images of a gallery identity are averaged. Probes of identities
outside the gallery are the unknown probes of the open set. The command prints rank-k (closed set)
and DIR at FAR (open set).

  arcface-mx identify runs/first gallery/ probes/ --distractors others/"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model_flags(parser)
    parser.add_argument("gallery", metavar="GALLERY", help="folder of identities, or list: image identity")
    parser.add_argument("probes", metavar="PROBES", help="folder of identities, or list: image identity")
    parser.add_argument(
        "--distractors", metavar="IMAGES", help="folder or list of images of others, each a further entry"
    )
    add_images_flag(parser)
    add_flip_flag(parser)
    add_json_flag(parser)


def run(args: argparse.Namespace) -> int:
    from arcface_mx.util.files import write_json
    from arcface_mx.verify.protocols import ImageOptions, identify_images
    from arcface_mx.verify.tables import identification_table

    options = ImageOptions(args.images, args.batch_size, args.flip)
    result = identify_images(lambda: open_model(args), args.gallery, args.probes, args.distractors, options)
    print(identification_table(result))
    if args.json:
        write_json(args.json, result.to_json())
    return 0
