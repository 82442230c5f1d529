"""`arcface-mx export`: write the embedding network of a run or of a published model."""

from __future__ import annotations

import argparse

from arcface_mx.cli.shared.model_flags import add_step_flag

HELP = """write an embedding network for use elsewhere: MXNet, ONNX, model card

Writes model-symbol.json and model-0000.params. The input is RGB pixels from 0 to 255, the output is
the embedding "fc1", and all operators are standard ones: mx.mod.Module, mx.gluon.SymbolBlock and the
C predict interface load the files. The graph states input size, colour order, alignment and embedding
size. MODEL is a run folder, whose latest checkpoint is exported, or PREFIX,EPOCH. --step best exports
the best step that was verified during training.

--fold and --onnx are compared with the network on images. The export is refused if unit embeddings
differ by more than 1e-4. --int8 adds model-int8.onnx, 8-bit integers for `embed --engine int8`, which
is faster and gives different embeddings; their cosine to the network's is printed. model-card.md
states what the network was made from and what was measured.

  arcface-mx export runs/first --out first --onnx --calibrate lfw.bin"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="run folder or PREFIX,EPOCH")
    add_step_flag(parser)
    parser.add_argument("--out", metavar="FOLDER", help="where to write (default: the run folder)")
    parser.add_argument(
        "--fold", action="store_true", help="fold BatchNorm into the neighbouring layers; for inference only"
    )
    parser.add_argument("--onnx", action="store_true", help="also write model.onnx, for any number of images at once")
    parser.add_argument(
        "--int8",
        action="store_true",
        help="also write model-int8.onnx; three quarters of the images give the ranges of its values",
    )
    parser.add_argument(
        "--images",
        metavar="FACES",
        help="images to compare on: .bin, face set, folder or list (default: the run's own sets)",
    )
    parser.add_argument(
        "--calibrate",
        metavar="SET",
        nargs="+",
        default=(),
        help="measure thresholds on these sets (default: keep the model's own calibration)",
    )


def run(args: argparse.Namespace) -> int:
    from arcface_mx.export.export import ExportOptions, export_model

    options = ExportOptions(args.fold, args.onnx, args.int8, args.images, tuple(args.calibrate), args.step or "")
    print("\n".join(export_model(args.model, args.out, options)))
    return 0
