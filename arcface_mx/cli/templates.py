"""`arcface-mx templates`: template verification, as IJB-B, IJB-C and YTF define it."""

from __future__ import annotations

import argparse

from arcface_mx.cli.model_flags import add_flip_flag, add_images_flag, add_model_flags, open_model

HELP = """measure template verification (IJB-B, IJB-C, YTF)

TEMPLATES is a list with "photo template medium" a line (IJB's tid_mid file), or a folder: then
every folder with photos in it is a template, named by its path (YTF's person/video). PAIRS is a
list with "template template 1-or-0" a line. Photos are aligned crops. Frames of one medium are
averaged, media added. Prints TAR at FAR, EER, AUC; with --folds also accuracy over folds.

  arcface-mx templates model,0 ijbc_face_tid_mid.txt ijbc_template_pair_label.txt --images crops/
  arcface-mx templates model,0 ytf_crops/ ytf_pairs.txt --folds 10"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model_flags(parser)
    parser.add_argument("templates", metavar="TEMPLATES", help="list: photo template medium; or a folder of folders")
    parser.add_argument("pairs", metavar="PAIRS", help="list: template template 1-or-0")
    add_images_flag(parser)
    parser.add_argument(
        "--folds", type=int, default=0, help="also accuracy over this many folds (YTF: 10; default: none)"
    )
    add_flip_flag(parser)
    parser.add_argument("--weigh", action="store_true", help="weigh images by the length of their embedding")
    parser.add_argument("--json", metavar="FILE", help="also write the results to FILE")


def run(args: argparse.Namespace) -> int:
    from arcface_mx.util.files import write_json
    from arcface_mx.verify.protocols import rates_table, verify_templates

    result = verify_templates(
        lambda: open_model(args),
        args.templates,
        args.pairs,
        args.images,
        args.batch_size,
        args.flip,
        args.folds,
        not args.weigh,
    )
    print(rates_table(result))
    if args.json:
        write_json(args.json, result.to_json())
    return 0
