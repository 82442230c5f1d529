"""Flags shared by commands that embed with a model."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from arcface_mx.metrics.verification import FLIP_TESTS
from arcface_mx.model.embedder import BATCH_SIZES
from arcface_mx.model.load import ENGINES
from arcface_mx.util.errors import UserError

if TYPE_CHECKING:
    from arcface_mx.model import Embedder

MODEL_HELP = "run folder or PREFIX,EPOCH"


def add_model_flags(parser: argparse.ArgumentParser, int8: bool = False) -> None:
    """MODEL, --devices, --batch-size, --layer, --engine. int8: that engine too, whose embeddings are other than the model's."""
    parser.add_argument("model", metavar="MODEL", help=MODEL_HELP)
    parser.add_argument("--devices", default="cpu", help="cpu, gpu(0) or gpu(0),gpu(1) (default: %(default)s)")
    own = "%(cpu)d on each CPU device, %(gpu)d on each GPU" % BATCH_SIZES
    parser.add_argument(
        "--batch-size",
        type=int,
        metavar="B",
        help=f"photos a step, all devices together, mirror images not counted (default: {own})",
    )
    parser.add_argument("--layer", help="layer whose output is the embedding (default: found in the graph)")
    engines, told = (
        [name for name in ENGINES if int8 or name != "int8"],
        "MXNet, or ONNX Runtime (extra export; equal to 1e-4)",
    )
    told += ", or the int8 form that export --int8 wrote" if int8 else ""
    parser.add_argument("--engine", choices=engines, default="mxnet", help=told + " (default: %(default)s)")


def add_flip_flag(parser: argparse.ArgumentParser) -> None:
    """--flip, of commands that use one embedding an image."""
    parser.add_argument(
        "--flip",
        choices=FLIP_TESTS,
        default="none",
        help="flip test: none, or sum of the embeddings of image and mirror image (default: %(default)s)",
    )


def add_images_flag(parser: argparse.ArgumentParser) -> None:
    """--images, of commands that take a list of photos."""
    parser.add_argument("--images", metavar="FOLDER", help="where the list's photos are (default: beside the list)")


def open_model(args: argparse.Namespace) -> Embedder:
    """The model of the flags; says where its graph was cut."""
    from arcface_mx.model import load_model
    from arcface_mx.util.devices import parse_devices

    if args.batch_size is not None and args.batch_size < 1:
        raise UserError(f"--batch-size {args.batch_size}: must be at least 1")
    embedder = load_model(args.model, parse_devices(args.devices), args.layer, args.engine)
    for note in embedder.notes:
        print(note)
    return embedder
