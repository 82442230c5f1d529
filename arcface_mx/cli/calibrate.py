"""`arcface-mx calibrate`: which threshold, and how sure that is."""

from __future__ import annotations

import argparse

from arcface_mx.cli.model_flags import add_model_flags, open_model

HELP = """thresholds of a model at stated false accept rates

SET is one or more .bin files (their pairs are pooled), or one face set or folder with a sub-folder a
person (all pairs of its photos). None of the people should have been trained on. A threshold stands
beside the different-person pairs it rests on and a 95 % interval of its true rate: from the pairs of
.bin files as if independent, from drawing people in a labelled set. Rates under 1/pairs are not
measurable. Written beside the model, as PREFIX-calibration.json, where verify-pair, gallery and
export find it.

  arcface-mx calibrate runs/first lfw.bin"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model_flags(parser)
    parser.add_argument("sets", metavar="SET", nargs="+", help=".bin files, or one face set or folder of identities")
    parser.add_argument("--out", metavar="FILE", help="where to write (default: beside the model)")
    parser.add_argument(
        "--no-flip-test", dest="flip_test", action="store_false", help="leave the flip test out: half the time"
    )
    parser.add_argument(
        "--most-photos",
        type=int,
        default=3000,
        metavar="N",
        help="photos of a labelled set, spread over its people (default: %(default)s)",
    )


def run(args: argparse.Namespace) -> int:
    from arcface_mx.util.tables import text_table
    from arcface_mx.verify.calibrate import calibrate_model
    from arcface_mx.verify.calibration_file import (
        calibration_notes,
        calibration_path,
        calibration_rows,
        write_calibration,
    )

    path = args.out or calibration_path(args.model)
    stored = calibrate_model(open_model(args), args.model, args.sets, args.batch_size, args.flip_test, args.most_photos)
    print("\n".join([text_table(calibration_rows(stored))] + calibration_notes(stored)))
    write_calibration(path, stored)
    print(f"written: {path}")
    return 0
