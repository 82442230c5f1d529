"""`arcface-mx launch`: train with several processes."""

from __future__ import annotations

import argparse
from typing import Sequence

HELP = """train with several workers, on this machine or on several machines

  arcface-mx launch -n 2 -s 1 -- train --data faces --run runs/first --batch-size 512
  arcface-mx launch --engine horovod -n 2 -- train --data faces --run runs/first --batch-size 512

  arcface-mx launch -n 4 -- train --data faces --run runs/first --batch-size 512 --devices gpu

The training's --batch-size counts the images of all workers in a step. Worker 0 writes the run
folder. If a process fails, all processes end, and a message names the one that failed first. Run the
same command again to continue from the last checkpoint."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-n",
        "--workers",
        type=int,
        default=1,
        metavar="N",
        help="number of workers. With --devices gpu each has a GPU of its own; any other --devices of the training "
        "are those of each worker (default: %(default)s)",
    )
    parser.add_argument(
        "--engine",
        choices=["ps", "horovod"],
        default="ps",
        help="what adds the gradients: MXNet's parameter server, or Horovod, which is optional (default: %(default)s)",
    )
    parser.add_argument(
        "-s",
        "--servers",
        type=int,
        default=1,
        metavar="N",
        help="number of parameter servers, for --engine ps (default: %(default)s)",
    )
    parser.add_argument(
        "--hosts",
        metavar="FILE",
        help="file with one machine per line, named as ssh expects it; servers and workers are assigned "
        "to the machines in turn (default: this machine only)",
    )
    parser.add_argument(
        "--address",
        default="",
        metavar="HOST",
        help="address at which the hosts reach this machine (default: that of its host name)",
    )
    parser.add_argument(
        "--ssh",
        default="ssh",
        metavar="COMMAND",
        help="command that runs a line on a host (default: %(default)s)",
    )
    parser.add_argument("command_line", nargs="*", metavar="-- train …", help="command line of the training")


def run(args: argparse.Namespace) -> int:
    from arcface_mx.launch import launcher
    from arcface_mx.launch.hosts import read_hosts

    hosts = read_hosts(args.hosts) if args.hosts else ()
    command = tuple(args.command_line)
    return launcher.run(
        launcher.Launch(
            command, args.workers, args.servers, hosts, args.address, args.ssh, args.engine, _devices(command)
        )
    )


def _devices(command: Sequence[str]) -> str:
    """Return the devices of a training's command line, which may come from a file that it names."""
    from arcface_mx.cli import train, with_flags
    from arcface_mx.cli.shared.commands import build_parser
    from arcface_mx.util.errors import UserError

    if command[:1] != ("train",):
        return "cpu"  # the launcher refuses the command
    words = ["--kvstore", "dist_sync", *command[1:]]  # several workers, for which no preset is chosen
    parser = build_parser("train", words)
    try:
        return train.configuration(parser.parse_args(words)).run.devices
    except UserError as error:
        raise UserError(with_flags(str(error), parser.known_flags()))
