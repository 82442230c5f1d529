"""`arcface-mx train`."""

from __future__ import annotations

import argparse
import contextlib
from typing import Sequence

HELP = """train a network on a face data set

Defaults are the paper's settings for CASIA-WebFace (IR-ResNet50, batch 512, 32,000 steps).
The same command continues a run that was interrupted.
Each loss has its own flags: arcface-mx train --loss cosface --help"""


def add_arguments(parser: argparse.ArgumentParser, arguments: Sequence[str] = ()) -> None:
    from arcface_mx.cli.shared.loss_flag import add_run_flags
    from arcface_mx.presets import PRESETS

    add_run_flags(parser, arguments, _resumed_loss(arguments))
    parser.add_argument("--preset", metavar=f"{{{','.join(PRESETS)}}}", help="defaults to start from (default: paper)")
    parser.add_argument("--resume", metavar="RUN", help="continue the run in this folder with its own configuration")
    parser.add_argument("--print-config", action="store_true", help="print what differs from the defaults and stop")


def run(args: argparse.Namespace) -> int:
    from arcface_mx import config as configuration
    from arcface_mx.flags import given_values
    from arcface_mx.presets import preset_values

    values = given_values(args)
    if args.preset:
        loss = configuration.find_loss(values.get("loss", configuration.ArcFace.name))
        values = {**preset_values(args.preset, loss), **values}
    if args.resume:
        from arcface_mx.train.folder import read_config

        stored = configuration.to_flat(read_config(args.resume))
        values = {**stored, **values, "run": args.resume}
    config = configuration.from_flat(values)
    if args.print_config:
        for name, (default, value) in configuration.differences(configuration.TrainConfig(), config).items():
            print(f"{configuration.flag_name(name)} {value} (default {default})")
        return 0
    from arcface_mx.train.run import train

    train(config)
    return 0


def _resumed_loss(arguments: Sequence[str]) -> str:
    """Return the loss of the run that `--resume` names, or the default loss."""
    import os

    for flag, run in zip(arguments, arguments[1:]):
        if flag == "--resume" and os.path.isdir(run):
            from arcface_mx.train.folder import read_config
            from arcface_mx.util.errors import UserError

            with contextlib.suppress(UserError):  # `run` reports it
                return read_config(run).loss.name
    return "arcface"
