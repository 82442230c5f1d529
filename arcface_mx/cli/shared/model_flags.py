"""Flags shared by the commands that embed with a model."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from arcface_mx.flags import thread_count
from arcface_mx.metrics.verification import FLIP_TESTS
from arcface_mx.model.embedder import BATCH_SIZES
from arcface_mx.model.load import ENGINES
from arcface_mx.util.errors import UserError

if TYPE_CHECKING:
    from arcface_mx.model import Embedder


CHOSEN = ": the best step is chosen on the run's verification sets, so its accuracy on them is optimistic"


def add_model_flags(parser: argparse.ArgumentParser, int8: bool = False) -> None:
    """MODEL, --input, --devices, --batch-size, --threads, --layer, --engine; `int8` offers that engine too.

    The embeddings of the int8 engine differ from the model's.
    """
    parser.add_argument("model", metavar="MODEL", help="run folder, PREFIX,EPOCH or FILE.onnx")
    add_input_flag(parser)
    add_devices_flag(parser)
    parser.add_argument(
        "--batch-size",
        type=int,
        metavar="B",
        help="images per batch on all devices together; mirror images are not counted "
        f"(default: {BATCH_SIZES['cpu']} on each CPU device, {BATCH_SIZES['gpu']} on each GPU)",
    )
    parser.add_argument(
        "--threads",
        type=thread_count,
        default=0,
        metavar="N",
        help="threads that compute on CPUs (default: auto: all, half or one, whichever is the fastest in the fourth "
        "batch, or OMP_NUM_THREADS)",
    )
    parser.add_argument("--layer", help="layer whose output is the embedding (default: found in the graph)")
    int8_help = ", or the int8 form that export --int8 wrote" if int8 else ""
    parser.add_argument(
        "--engine",
        choices=[name for name in ENGINES if int8 or name != "int8"],
        default="mxnet",
        help=f"MXNet, or ONNX Runtime (extra export; equal to 1e-4){int8_help}; auto measures mxnet and onnx for a few "
        "seconds and takes the faster one (default: %(default)s)",
    )


def add_step_flag(parser: argparse.ArgumentParser) -> None:
    """--step, for commands that take any checkpoint of a run."""
    parser.add_argument(
        "--step",
        metavar="N|best|last",
        help="take this checkpoint of a run folder; best is the step with the highest mean accuracy on the run's "
        "verification sets, if the run was trained with --eval-every (default: the exported network, of the last step)",
    )


def add_input_flag(parser: argparse.ArgumentParser) -> None:
    """--input."""
    parser.add_argument(
        "--input",
        metavar="ORDER,MEAN,SCALE",
        help="what the model takes: rgb or bgr, and (pixel − MEAN) / SCALE, such as rgb,127.5,128 (default: what it "
        "states; else rgb, and rgb,127.5,127.5 for ONNX files that do not normalise)",
    )


def add_flip_flag(parser: argparse.ArgumentParser) -> None:
    """--flip, for commands that use one embedding per image."""
    parser.add_argument(
        "--flip",
        choices=FLIP_TESTS,
        default="none",
        help="flip test: none, or sum of the embeddings of image and mirror image (default: %(default)s)",
    )


def add_images_flag(parser: argparse.ArgumentParser) -> None:
    """--images, of commands that take a list of images."""
    parser.add_argument("--images", metavar="FOLDER", help="folder of a list's images (default: beside the list)")


def add_devices_flag(parser: argparse.ArgumentParser) -> None:
    """--devices."""
    parser.add_argument("--devices", default="cpu", help="cpu, gpu(0) or gpu(0),gpu(1) (default: %(default)s)")


def add_no_flip_test_flag(parser: argparse.ArgumentParser) -> None:
    """--no-flip-test."""
    parser.add_argument(
        "--no-flip-test", dest="flip_test", action="store_false", help="leave out the flip test, which halves the time"
    )


def add_json_flag(parser: argparse.ArgumentParser) -> None:
    """--json."""
    parser.add_argument("--json", metavar="FILE", help="also write the results to FILE")


def open_model(args: argparse.Namespace) -> Embedder:
    """Load the model of the flags and print where its graph was cut."""
    from arcface_mx.model import load_model
    from arcface_mx.util.devices import parse_devices

    if args.batch_size is not None and args.batch_size < 1:
        raise UserError(f"`batch_size` must be at least 1, got {args.batch_size}")
    devices = parse_devices(args.devices)
    if args.threads:
        from arcface_mx.util.threads import set_threads

        set_threads(args.threads, devices)
    if getattr(args, "step", None):
        from arcface_mx.train.snapshot import load_snapshot

        if args.input:
            raise UserError("`input` is for models of others; the checkpoints of a run take RGB from 0 to 255")
        embedder = load_snapshot(args.model, args.step, devices, args.layer, args.engine)
        embedder.notes.insert(0, embedder.name + CHOSEN * (args.step == "best"))
    else:
        embedder = load_model(args.model, devices, args.layer, args.engine, args.input)
    for note in embedder.notes:
        print(note)
    return embedder
