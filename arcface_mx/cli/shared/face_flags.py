"""Flags and messages of the commands that read images of faces."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Dict

from arcface_mx.cli.shared.model_flags import add_flip_flag

if TYPE_CHECKING:
    from arcface_mx.faces.embed import Embeddings, FaceOptions
    from arcface_mx.metrics.calibration import Calibration

MAX_SHOWN = 10  # images of a kind that are named


def add_face_flags(parser: argparse.ArgumentParser) -> None:
    """--align, --flip, --workers."""
    parser.add_argument(
        "--align", action="store_true", help="find the face in each image and crop it (default: images are aligned)"
    )
    add_flip_flag(parser)
    add_workers_flag(parser)


def add_all_faces_flag(parser: argparse.ArgumentParser) -> None:
    """--all-faces."""
    parser.add_argument(
        "--all-faces",
        action="store_true",
        help="use every face that is detected in an image (default: the large and central one)",
    )


def add_workers_flag(parser: argparse.ArgumentParser) -> None:
    """--workers."""
    parser.add_argument(
        "--workers",
        type=int,
        metavar="W",
        help="threads, or processes with --align, that read images (default: one per core)",
    )


def num_workers(args: argparse.Namespace) -> int:
    """The number that --workers asks for; without it, one for each core."""
    from arcface_mx.util.environment import available_cores

    return max(1, args.workers or available_cores())


def add_crop_flags(parser: argparse.ArgumentParser) -> None:
    """--landmarks, --width."""
    parser.add_argument("--landmarks", metavar="FILE", help="read the landmarks from this file (default: detect them)")
    parser.add_argument(
        "--width",
        type=int,
        default=112,
        metavar="W",
        help="width of the crops, 112 or 96 (default: %(default)s)",
    )


def add_calibration_flag(parser: argparse.ArgumentParser) -> None:
    """--calibration."""
    parser.add_argument(
        "--calibration", metavar="FILE", help="file of arcface-mx calibrate (default: the one beside the model)"
    )


def face_options(args: argparse.Namespace) -> FaceOptions:
    """The options that the flags ask for."""
    from arcface_mx.faces.embed import FaceOptions

    return FaceOptions(args.align, args.flip, args.batch_size, num_workers(args), getattr(args, "all_faces", False))


def model_calibration(args: argparse.Namespace) -> Calibration:
    """The calibration of the model for the flip test of the flags."""
    from arcface_mx.verify.calibration_file import calibration_path, read_calibration

    return read_calibration(args.calibration or calibration_path(args.model), args.model, args.input).for_flip(
        args.flip
    )


def print_notes(embeddings: Embeddings) -> None:
    """Name the images that have something unusual, such as several faces."""
    _print_some("note", embeddings.note_of)


def print_skipped(reason_of: Dict[str, str]) -> None:
    """Name the images that have no embedding."""
    _print_some("no face used", reason_of)


def _print_some(what: str, text_of: Dict[str, str]) -> None:
    from arcface_mx.util.errors import printable

    for path, text in list(text_of.items())[:MAX_SHOWN]:
        print(printable(f"{what}: {path}: {text}"))
    if len(text_of) > MAX_SHOWN:
        print(f"… and {len(text_of) - MAX_SHOWN} more")
