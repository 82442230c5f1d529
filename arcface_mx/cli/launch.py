"""`arcface-mx launch`."""

from __future__ import annotations

import argparse

HELP = """train with several workers, here or on other machines

arcface-mx launch -n 2 -s 1 -- train --data faces --run runs/first --batch-size 512
arcface-mx launch --engine horovod -n 2 -- train --data faces --run runs/first --batch-size 512
--batch-size is the images a step of all workers together. When a process fails, all end, and it is named;
the same command goes on from the last checkpoint. Run folder: that of worker rank 0."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-n", "--workers", type=int, default=1, metavar="N", help="workers, each with the --devices of the command (1)"
    )
    parser.add_argument(
        "--engine",
        choices=["ps", "horovod"],
        default="ps",
        help="what adds the gradients: MXNet's parameter server, or Horovod (optional) (ps)",
    )
    parser.add_argument(
        "-s", "--servers", type=int, default=1, metavar="N", help="servers that add the gradients, of engine ps (1)"
    )
    parser.add_argument(
        "--hosts",
        metavar="FILE",
        help="machines, one a line as ssh takes it; workers and servers take turns (none: here)",
    )
    parser.add_argument(
        "--address",
        default="",
        metavar="HOST",
        help="this machine's address as the hosts see it (default: its host name's)",
    )
    parser.add_argument("--ssh", default="ssh", metavar="COMMAND", help="command that runs a line on a host (ssh)")
    parser.add_argument("command_line", nargs="*", metavar="-- train …", help="the training's command line")


def run(args: argparse.Namespace) -> int:
    from arcface_mx.launch import launcher as launch

    hosts = launch.read_hosts(args.hosts) if args.hosts else ()
    return launch.run(
        launch.Launch(tuple(args.command_line), args.workers, args.servers, hosts, args.address, args.ssh, args.engine)
    )
