"""`arcface-mx export`: the embedding network of a run or of a published model."""

from __future__ import annotations

import argparse

HELP = """write an embedding network for use elsewhere: MXNet, ONNX, model card

Writes model-symbol.json and model-0000.params: pixels 0-255, RGB, in; the embedding "fc1" out;
standard operators only. mx.mod.Module, mx.gluon.SymbolBlock and the C predict interface load it. The
graph states input size, colour order, alignment and embedding size. MODEL is a run folder (its newest
checkpoint is taken) or PREFIX,EPOCH. --fold and --onnx are compared with the network on photos, and
refused where unit embeddings differ by more than 1e-4. model-card.md tells what it was made from and
measured to do. --int8 adds model-int8.onnx, 8-bit integers for `embed --engine int8`: faster, and other
embeddings; the cosine to the network's is printed.

  arcface-mx export runs/first --out first --onnx --calibrate lfw.bin"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="MODEL", help="run folder or PREFIX,EPOCH")
    parser.add_argument("--out", metavar="FOLDER", help="where to write (default: the run folder)")
    parser.add_argument("--fold", action="store_true", help="fold BatchNorm into its neighbours (inference only)")
    parser.add_argument("--onnx", action="store_true", help="also model.onnx, any number of images at once")
    parser.add_argument(
        "--int8", action="store_true", help="also model-int8.onnx; ranges are taken from three photos in four"
    )
    parser.add_argument(
        "--photos",
        metavar="FACES",
        help="what to compare on: .bin, face set, folder or list (default: the run's own sets)",
    )
    parser.add_argument(
        "--calibrate",
        metavar="SET",
        nargs="+",
        default=(),
        help="measure thresholds on these sets (default: the model's own calibration)",
    )


def run(args: argparse.Namespace) -> int:
    from arcface_mx.export.export import ExportOptions, export_model

    options = ExportOptions(args.fold, args.onnx, args.int8, args.photos, tuple(args.calibrate))
    print("\n".join(export_model(args.run, args.out, options)))
    return 0
