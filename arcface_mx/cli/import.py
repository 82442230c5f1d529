"""`arcface-mx import`: turn an ONNX file or a PyTorch file into MXNet files."""

from __future__ import annotations

import argparse

from arcface_mx.cli.shared.model_flags import add_input_flag

HELP = """turn an ONNX or PyTorch file of a face network into MXNet files, for training

FILE is an ONNX file of an IR-ResNet or a MobileFaceNet, or the state dict of an IResNet of
InsightFace's arcface_torch (.pth, .pt). The command writes PREFIX-symbol.json and
PREFIX-0000.params, which take RGB pixels from 0 to 255: --input becomes part of the graph. Nothing
in FILE is executed as code.

The embeddings are compared with those of FILE, by ONNX Runtime or, for PyTorch files, by a separate
forward pass in NumPy. Nothing is written if unit embeddings differ by more than 1e-4.

  arcface-mx import w600k_r50.onnx models/r50 --input rgb,127.5,127.5
  arcface-mx train --data faces --run runs/tuned --network init --init models/r50,0"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="FILE", help="FILE.onnx, FILE.pth or FILE.pt")
    parser.add_argument("prefix", metavar="PREFIX", help="what the names of the new files begin with")
    add_input_flag(parser)
    parser.add_argument(
        "--images",
        metavar="FACES",
        help="images to compare on: .bin, face set, folder or list (default: generated patterns)",
    )


def run(args: argparse.Namespace) -> int:
    from arcface_mx.export.convert import import_model

    print("\n".join(import_model(args.source, args.prefix, args.input, args.images)))
    return 0
