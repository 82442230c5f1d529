"""`arcface-mx plan`: estimate the memory of a training run."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Sequence

if TYPE_CHECKING:
    from arcface_mx.planning.cost import Machine

HELP = """estimate the memory of a training run before anything is allocated

The command takes the flags of train. The devices need not be in this machine if you give --memory or --card.
The exit code is 1 if the run does not fit into the memory of a device.

With --scaling it prints a table of time and memory instead, from a cost model, for 10,000 to
100,000,000 classes and 1 to 1024 devices. --batch-size is then the number of images on each device."""

CARD_NAMES = ("1080ti", "v100", "t4", "a10", "a100", "l4")
DEFAULT_CARD = "1080ti"
FLAGS_OF_REMEDIES = ("--parallel", "--devices", "--sample-rate", "--batch-size", "--memory")


def add_arguments(parser: argparse.ArgumentParser, arguments: Sequence[str] = ()) -> None:
    from arcface_mx.cli.shared.loss_flag import add_run_flags
    from arcface_mx.cli.shared.preset_flag import add_preset_flag

    parser.add_argument("--classes", type=int, metavar="N", help="number of classes (default: that of --data)")
    parser.add_argument(
        "--card",
        choices=CARD_NAMES,
        help="kind of GPU: sets --memory, and with --scaling --tflops, --link and --traffic",
    )
    parser.add_argument(
        "--memory",
        type=float,
        metavar="GB",
        help="memory of each device (default: that of --card, or what is free on the devices of this machine)",
    )
    parser.add_argument("--scaling", action="store_true", help="print the table of the cost model")
    for flag, unit, meaning in (
        ("--tflops", "TFLOPS", "10^12 operations that a device sustains in a second"),
        ("--link", "GB/S", "gigabytes that a device sends in a second"),
        ("--traffic", "GB/S", "gigabytes of its memory that a device reads or writes in a second"),
    ):
        help_text = f"for --scaling: {meaning} (default: that of --card, or of {DEFAULT_CARD})"
        parser.add_argument(flag, type=float, metavar=unit, help=help_text)
    parser.add_argument("--json", metavar="FILE", help="also write the plan or the table to this JSON file")
    add_preset_flag(parser)
    add_run_flags(parser, arguments)


def run(args: argparse.Namespace) -> int:
    from arcface_mx.cli import with_flags
    from arcface_mx.cli.shared.preset_flag import preset_settings
    from arcface_mx.config import from_flat
    from arcface_mx.flags import given_values
    from arcface_mx.planning.cards import find_card
    from arcface_mx.planning.plan import check_whole_arrays, make_plan, plan_table
    from arcface_mx.planning.workload import Workload
    from arcface_mx.util.errors import UserError
    from arcface_mx.util.files import write_json

    given, classes = given_values(args), args.classes
    config = from_flat({**preset_settings(args.preset, given), **given})
    workload = Workload.of(config)
    if args.scaling:
        from arcface_mx.planning.scaling import scaling, scaling_table

        rows = scaling(workload, _machine(args))
        print(scaling_table(rows))
        if args.json:
            write_json(args.json, rows)
        return 0
    if classes is None:
        from arcface_mx.data.recordio.index import RecordIndex

        if not config.data.data:
            raise UserError("give --classes, or --data with a face set whose classes are counted")
        classes = RecordIndex.open(config.data.data).num_classes
    if classes < 1 or (args.memory is not None and not args.memory > 0):
        raise UserError("--classes and --memory must be positive")
    memory = args.memory or (find_card(args.card).memory if args.card else 0)
    plan = make_plan(workload, classes, round(memory * 1e9) if memory else None)
    print(with_flags(plan_table(plan), FLAGS_OF_REMEDIES))
    check_whole_arrays(workload, classes)
    if args.json:
        write_json(args.json, plan.to_json())
    return 0 if plan.fits else 1


def _machine(args: argparse.Namespace) -> Machine:
    """Return what a device sustains: that of the card, where a flag does not say otherwise."""
    from dataclasses import replace

    from arcface_mx.planning.cards import find_card

    card = find_card(args.card or DEFAULT_CARD)
    given = {name: getattr(args, name) for name in ("tflops", "link", "traffic") if getattr(args, name) is not None}
    return replace(card, **given).machine
