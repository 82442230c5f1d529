"""Where the time of a training step goes, operator by operator, as MXNet's profiler measures it.

Run: python recipes/bench/operators.py --data faces --network iresnet50
"""

from __future__ import annotations

import argparse
import json
import os
from typing import Any, List

import step

from arcface_mx.bench.networks import NETWORKS
from arcface_mx.util.tables import markdown_table

MIN_SHARE = 0.005


def rows(profile: str, steps: int) -> List[List[str]]:
    """A row per operator of the profiler's JSON, the slowest first; small ones are added up."""
    operators = json.loads(profile)["Time"]["operator"]
    total = sum(entry["Total"] for entry in operators.values()) or 1.0
    result, rest = [["operator", "calls per step", "ms per step", "share"]], 0.0
    for name, entry in sorted(operators.items(), key=lambda item: -item[1]["Total"]):
        share = entry["Total"] / total
        if share < MIN_SHARE:
            rest += share
        else:
            result.append(
                [name, f"{entry['Count'] / steps:.0f}", f"{entry['Total'] / steps:.2f}", f"{100 * share:.1f} %"]
            )
    return [*result, ["others", "", "", f"{100 * rest:.1f} %"]]


def main(arguments: Any = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="folder with train.rec")
    parser.add_argument("--network", choices=list(NETWORKS), default="recipe", help="default: %(default)s")
    parser.add_argument("--steps", type=int, default=3, help="steps to average over (default: %(default)s)")
    args = parser.parse_args(arguments)
    os.environ["MXNET_EXEC_BULK_EXEC_TRAIN"] = "0"  # operators run one by one, which costs a little
    run = step.setup(NETWORKS[args.network], args.data, reading=False)
    from mxnet import profiler

    for _ in range(2):
        run()
    profiler.set_config(profile_symbolic=True, profile_imperative=True, aggregate_stats=True, filename=os.devnull)
    profiler.set_state("run")
    for _ in range(args.steps):
        run()
    profiler.set_state("stop")
    print(markdown_table(rows(profiler.dumps(reset=True, format="json"), args.steps)))


if __name__ == "__main__":
    main()
