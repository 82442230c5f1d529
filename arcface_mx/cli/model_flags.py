"""Flags shared by commands that embed with a model."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from arcface_mx.errors import UserError
from arcface_mx.model.embedder import BATCH_SIZE

if TYPE_CHECKING:
    from arcface_mx.model import Embedder

MODEL_HELP = "run folder or PREFIX,EPOCH"


def add_model_flags(parser: argparse.ArgumentParser) -> None:
    """MODEL, --devices, --batch-size, --layer."""
    parser.add_argument("model", metavar="MODEL", help=MODEL_HELP)
    parser.add_argument("--devices", default="cpu", help="cpu, gpu(0) or gpu(0),gpu(1) (default: %(default)s)")
    parser.add_argument("--batch-size", type=int, default=BATCH_SIZE, help="images a step, all devices together (default: %(default)s)")
    parser.add_argument("--layer", help="layer whose output is the embedding (default: found in the graph)")


def open_model(args: argparse.Namespace) -> "Embedder":
    """The model of the flags; says where its graph was cut."""
    from arcface_mx.devices import parse_devices
    from arcface_mx.model import load_model

    if args.batch_size < 1:
        raise UserError("--batch-size %d: must be at least 1" % args.batch_size)
    embedder = load_model(args.model, parse_devices(args.devices), args.layer)
    for note in embedder.notes:
        print(note)
    return embedder
