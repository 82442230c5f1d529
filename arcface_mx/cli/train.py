"""`arcface-mx train`."""

from __future__ import annotations

import argparse

HELP = """train a network on a face data set

Defaults are the paper's settings for CASIA-WebFace (ResNet50, batch 512, 32,000 steps).
The same command goes on where an interrupted run stopped."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from arcface_mx.flags import add_config_flags

    add_config_flags(parser)
    parser.add_argument("--resume", metavar="RUN", help="go on with the run in this folder, with its own configuration")
    parser.add_argument("--print-config", action="store_true", help="show what differs from the defaults and stop")


def run(args: argparse.Namespace) -> int:
    from arcface_mx import config as configuration
    from arcface_mx.flags import given_values

    values = given_values(args)
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
