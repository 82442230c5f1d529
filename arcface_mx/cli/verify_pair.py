"""`arcface-mx verify-pair`: do two images show one identity?"""

from __future__ import annotations

import argparse

from arcface_mx.cli.shared.face_flags import add_calibration_flag, add_face_flags, face_options, model_calibration
from arcface_mx.cli.shared.model_flags import add_json_flag, add_model_flags, open_model

HELP = """similarity of two images, and the decision at a stated false accept rate

The threshold is the model's own: arcface-mx calibrate measures it, and export keeps it.

  arcface-mx verify-pair runs/first a.jpg b.jpg --align --far 0.001"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model_flags(parser)
    parser.add_argument("first", metavar="A", help="image")
    parser.add_argument("second", metavar="B", help="image")
    parser.add_argument(
        "--far", type=float, default=1e-3, help="false accept rate of the decision: 0.1, 0.01, … (default: %(default)s)"
    )
    add_calibration_flag(parser)
    add_face_flags(parser)
    add_json_flag(parser)


def run(args: argparse.Namespace) -> int:
    from arcface_mx.faces.compare import compare, verdict
    from arcface_mx.util.files import write_json

    level = model_calibration(args).level(args.far)
    comparison = compare(open_model(args), args.first, args.second, face_options(args))
    for note in comparison.notes:
        print(note)
    print(f"cosine {comparison.cosine:.4f}, angle {comparison.angle:.1f}°")
    print(verdict(comparison, level))
    if args.json:
        pair = {"cosine": comparison.cosine, "angle": comparison.angle, "same": comparison.same(level)}
        write_json(args.json, {**pair, **vars(level)})
    return 0
