"""`arcface-mx calibrate`: measure the thresholds of a model."""

from __future__ import annotations

import argparse

from arcface_mx.cli.shared.model_flags import add_model_flags, add_no_flip_test_flag, open_model

HELP = """measure thresholds of a model at stated false accept rates

SET is one or more verification sets (.bin), whose pairs are pooled, or a single face set or folder
with one sub-folder per identity, of which every pair of images counts. Use identities that the model
was not trained on. Each threshold is printed with the number of different pairs it is based on and
a 95 % interval of its true rate. The interval takes the pairs of verification sets as independent;
in a labelled set it is a bootstrap over identities. Rates below 1/pairs cannot be measured. The
result is written beside the model, as PREFIX-calibration.json, where verify-pair, gallery and
export find it.

  arcface-mx calibrate runs/first lfw.bin"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model_flags(parser)
    parser.add_argument(
        "sets", metavar="SET", nargs="+", help="verification sets, or one face set or folder of identities"
    )
    parser.add_argument("--out", metavar="FILE", help="file to write (default: beside the model)")
    add_no_flip_test_flag(parser)
    parser.add_argument(
        "--max-images",
        type=int,
        default=3000,
        metavar="N",
        help="limit of images of a labelled set, spread evenly over it (default: %(default)s)",
    )


def run(args: argparse.Namespace) -> int:
    from arcface_mx.util.files import refuse_unwritable
    from arcface_mx.util.tables import text_table
    from arcface_mx.verify.calibrate import calibrate_model
    from arcface_mx.verify.calibration_file import calibration_path, write_calibration
    from arcface_mx.verify.tables import calibration_notes, calibration_rows

    path = args.out or calibration_path(args.model)
    refuse_unwritable(path)
    stored = calibrate_model(open_model(args), args.model, args.sets, args.batch_size, args.flip_test, args.max_images)
    print("\n".join([text_table(calibration_rows(stored))] + calibration_notes(stored)))
    write_calibration(path, stored)
    print(f"written: {path}")
    return 0
