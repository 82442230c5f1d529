"""`arcface-mx plan`."""

from __future__ import annotations

import argparse

HELP = """memory of a training run on each device, before anything is allocated

Takes the flags of train. The devices need not be here: give --memory. Exit code 1 where it does not fit.
--scaling: instead, the cost model over 10,000 to 100,000,000 classes and 1 to 1024 devices."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from arcface_mx.flags import add_config_flags

    parser.add_argument("--classes", type=int, metavar="N", help="number of people (default: that of --data)")
    parser.add_argument(
        "--memory", type=float, metavar="GB", help="memory of one device (default: that of the devices here)"
    )
    parser.add_argument(
        "--scaling", action="store_true", help="print the cost model's table; --batch-size is then the images a device"
    )
    parser.add_argument(
        "--tflops", type=float, default=4.0, metavar="T", help="scaling: 10^12 operations/s that a device sustains (4)"
    )
    parser.add_argument("--link", type=float, default=5.0, metavar="GB/S", help="scaling: GB/s that a device sends (5)")
    parser.add_argument(
        "--traffic", type=float, default=300.0, metavar="GB/S", help="scaling: GB/s of a device's memory (300)"
    )
    parser.add_argument("--json", metavar="FILE", help="write the plan there")
    add_config_flags(parser)


def run(args: argparse.Namespace) -> int:
    from arcface_mx.config import from_flat
    from arcface_mx.flags import given_values
    from arcface_mx.planning.plan import check_whole_arrays, make_plan, plan_table
    from arcface_mx.util.errors import UserError
    from arcface_mx.util.files import write_json

    config, classes = from_flat(given_values(args)), args.classes
    if args.scaling:
        from arcface_mx.planning.cost import Machine
        from arcface_mx.planning.scaling import scaling, scaling_table

        rows = scaling(config, Machine(args.tflops * 1e12, args.link * 1e9, args.traffic * 1e9), config.data.batch_size)
        print(scaling_table(rows))
        if args.json:
            write_json(args.json, rows)
        return 0
    if classes is None:
        from arcface_mx.data.recordio.index import RecordIndex

        if not config.data.data:
            raise UserError("give --classes, or --data with a face set to count them in")
        classes = RecordIndex.open(config.data.data).num_classes
    if classes < 1 or (args.memory is not None and not args.memory > 0):
        raise UserError("--classes and --memory must be above 0")
    plan = make_plan(config, classes, int(args.memory * 1e9) if args.memory else None)
    print(plan_table(plan))
    check_whole_arrays(config, classes)
    if args.json:
        write_json(args.json, plan.to_json())
    return 0 if plan.fits else 1
