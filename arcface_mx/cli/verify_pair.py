"""`arcface-mx verify-pair`: do two images show one identity?"""

from __future__ import annotations

import argparse
import logging
import os
from typing import TYPE_CHECKING, Dict, Optional

from arcface_mx.cli.shared.face_flags import add_calibration_flag, add_face_flags, face_options, model_calibration
from arcface_mx.cli.shared.model_flags import add_json_flag, add_model_flags, open_model
from arcface_mx.util.errors import UserError

if TYPE_CHECKING:
    from arcface_mx.faces.compare import Rule

HELP = """similarity of two images, and the decision at a stated false accept rate

The cosine is printed in any case. The decision needs a threshold: --threshold, or the model's own,
which arcface-mx calibrate measures and export keeps.

  arcface-mx verify-pair runs/first a.jpg b.jpg --align --far 0.001
  arcface-mx verify-pair runs/first a.jpg b.jpg --align --threshold 0.35"""

LOGGER = logging.getLogger(__name__)
DEFAULT_FAR = 1e-3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model_flags(parser)
    parser.add_argument("first", metavar="A", help="image")
    parser.add_argument("second", metavar="B", help="image")
    parser.add_argument(
        "--far",
        type=float,
        help=f"false accept rate of the decision; the calibration needs 1/FAR different pairs (default: {DEFAULT_FAR})",
    )
    parser.add_argument("--threshold", type=float, metavar="COSINE", help="decide at this cosine instead")
    add_calibration_flag(parser)
    add_face_flags(parser)
    add_json_flag(parser)


def run(args: argparse.Namespace) -> int:
    from arcface_mx.faces.compare import compare
    from arcface_mx.util.files import write_json

    rule, error = None, None
    try:
        rule = _rule(args)
    except UserError as caught:  # raised below, when the cosine has been printed
        error = caught
    comparison = compare(open_model(args), args.first, args.second, face_options(args))
    for note in comparison.notes:
        print(note)
    print(f"cosine {comparison.cosine:.4f}, angle {comparison.angle:.1f}°")
    if error:
        raise error
    pair: Dict[str, object] = {"cosine": comparison.cosine, "angle": comparison.angle}
    if rule:
        print(rule.verdict(comparison))
        pair.update(same=rule.accepts(comparison), **rule.values)
    if args.json:
        write_json(args.json, pair)
    return 0


def _rule(args: argparse.Namespace) -> Optional[Rule]:
    """The rule that the flags ask for; None if they ask for none and the model is not calibrated."""
    from arcface_mx.faces.compare import rule_at_far, rule_at_threshold
    from arcface_mx.verify.calibration_file import calibration_path

    if args.threshold is not None:
        if args.far is not None or args.calibration:
            raise UserError("`threshold` cannot be combined with `far` or `calibration`")
        return rule_at_threshold(args.threshold)
    if args.far is None and not args.calibration and not os.path.exists(calibration_path(args.model)):
        LOGGER.warning(
            "no decision: %s is not calibrated; give --threshold, or run: arcface-mx calibrate %s SET.bin",
            args.model,
            args.model,
        )
        return None
    return rule_at_far(model_calibration(args), DEFAULT_FAR if args.far is None else args.far)
