"""Flags shared by commands that take photos of faces, and by those that decide."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Sequence

from arcface_mx.cli.model_flags import add_flip_flag

if TYPE_CHECKING:
    from arcface_mx.faces.embed import FaceOptions
    from arcface_mx.metrics.calibration import Calibration


def add_face_flags(parser: argparse.ArgumentParser) -> None:
    """--align, --flip, --workers."""
    parser.add_argument(
        "--align", action="store_true", help="find the face in each photo and crop it (else photos are aligned crops)"
    )
    add_flip_flag(parser)
    parser.add_argument(
        "--workers", type=int, metavar="W", help="threads, or processes with --align (default: one a core)"
    )


def add_calibration_flag(parser: argparse.ArgumentParser) -> None:
    """--calibration."""
    parser.add_argument(
        "--calibration", metavar="FILE", help="what arcface-mx calibrate wrote (default: the file beside the model)"
    )


def face_options(args: argparse.Namespace) -> FaceOptions:
    """The flags as options."""
    from arcface_mx.faces.embed import FaceOptions
    from arcface_mx.util.environment import available_cores

    return FaceOptions(args.align, args.flip, args.batch_size, max(1, args.workers or available_cores()))


def model_calibration(args: argparse.Namespace, flip: str) -> Calibration:
    """The model's own calibration for one flip test."""
    from arcface_mx.verify.calibration_file import calibration_path, read_calibration

    return read_calibration(args.calibration or calibration_path(args.model), args.model).for_flip(flip)


def print_skipped(paths: Sequence[str], reasons: Sequence[str], most: int = 10) -> None:
    """Name the photos that have no embedding."""
    for path, reason in list(zip(paths, reasons))[:most]:
        print(f"no face used: {path}: {reason}")
    if len(paths) > most:
        print(f"… and {len(paths) - most} more")
