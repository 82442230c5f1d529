"""`arcface-mx templates`: template verification, as IJB-B, IJB-C and YTF define it."""

from __future__ import annotations

import argparse

from arcface_mx.cli.shared.model_flags import add_flip_flag, add_images_flag, add_json_flag, add_model_flags, open_model

HELP = """measure template verification (IJB-B, IJB-C, YTF)

TEMPLATES is a list with "image template medium" on a line (IJB's tid_mid file), or a folder: then
every sub-folder with images is a template, named by its path (YTF's identity/video). PAIRS is a
list with "template template 1-or-0" on a line. Images are aligned crops. The frames of a medium are
averaged, then the media of a template. The command prints TAR at FAR, EER and AUC, and with --folds
also accuracy over folds.

  arcface-mx templates model,0 ijbc_face_tid_mid.txt ijbc_template_pair_label.txt --images crops/
  arcface-mx templates model,0 ytf_crops/ ytf_pairs.txt --folds 10
  arcface-mx templates runs/first ytf_crops/ ytf_pairs.txt --folds 10 --record ytf   (a column of `table`)"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model_flags(parser)
    parser.add_argument("templates", metavar="TEMPLATES", help="list: image template medium; or a folder of folders")
    parser.add_argument("pairs", metavar="PAIRS", help="list: template template 1-or-0")
    add_images_flag(parser)
    parser.add_argument(
        "--folds", type=int, default=0, help="also measure accuracy over this many folds (YTF: 10; default: none)"
    )
    add_flip_flag(parser)
    parser.add_argument("--weigh", action="store_true", help="weigh images by the length of their embedding")
    parser.add_argument(
        "--record",
        metavar="NAME",
        help="keep the accuracy under this name in the run folder MODEL, for `arcface-mx table`",
    )
    parser.add_argument("--keep-repeated", action="store_true", help="accept pairs that are listed several times")
    add_json_flag(parser)


def run(args: argparse.Namespace) -> int:
    from arcface_mx.train.folder import read_config, record_template_result
    from arcface_mx.util.errors import UserError
    from arcface_mx.util.files import write_json
    from arcface_mx.verify.protocols import ImageOptions, verify_templates
    from arcface_mx.verify.tables import rates_table

    if args.record:
        read_config(args.model)  # refuses what is no run folder
        if not args.folds:
            raise UserError("`record` keeps the accuracy, which needs `folds` (YTF: 10)")
    options = ImageOptions(args.images, args.batch_size, args.flip)
    result = verify_templates(
        lambda: open_model(args),
        args.templates,
        args.pairs,
        options,
        args.folds,
        normalise=not args.weigh,
        keep_repeated=args.keep_repeated,
    )
    print(rates_table(result))
    if args.record:
        record_template_result(args.model, args.record, args.flip, result.to_json())
    if args.json:
        write_json(args.json, result.to_json())
    return 0
