"""`arcface-mx export`: the embedding network of a run."""

from __future__ import annotations

import argparse

HELP = """write the embedding network of a run in MXNet's format

Writes model-symbol.json and model-0000.params: pixels 0-255, RGB, in; the embedding "fc1" out;
standard operators only. mx.mod.Module and mx.gluon.SymbolBlock load it. A finished run holds the
export of its last step already."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="run folder; its newest checkpoint is taken")
    parser.add_argument("--out", metavar="FOLDER", help="where to write (default: the run folder)")


def run(args: argparse.Namespace) -> int:
    from arcface_mx.errors import UserError
    from arcface_mx.export.mxnet_model import save_embedding
    from arcface_mx.train import checkpoint
    from arcface_mx.train.run_folder import read_config

    config = read_config(args.run)
    state = checkpoint.newest(args.run)
    if state is None:
        raise UserError("%s: holds no checkpoint; train first" % args.run)
    prefix = save_embedding(config, state.arg_params, state.aux_params, args.out or args.run)
    print("%s-symbol.json, %s-0000.params: step %d" % (prefix, prefix, state.step))
    return 0
