"""Measure runs with `launch --engine horovod`, and print tables.

    python -m tests.support.horovod_trial [--data FACES] [--growth]

The tables are: the largest difference between the weights of two processes and those of one process
with the joint batch; what happens when a process is killed; and, with --data, the time of a step with 1,
2 and 4 processes. With --growth, the only table is how a rounding difference between the two ways of
--parallel grows with the steps.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import re
import tempfile
import time

import mxnet as mx
import numpy as np

from arcface_mx.config import from_flat
from arcface_mx.train import checkpoint
from arcface_mx.train.folder import commit, processor
from arcface_mx.train.run import train
from tests.launch.test_horovod import CENTRES, RANKS, TWO
from tests.support.launching import IMAGES, SETTINGS, command, finish, print_faults, run_settings, write_faces
from tests.support.training import final

VARIANTS = {"data": {}, "centres": CENTRES, "centres, 2 devices each": dict(CENTRES, devices="cpu(0),cpu(1)")}
TIMED = {
    "network": "iresnet18",
    "width": 0.25,
    "embedding_size": 128,
    "dropout": 0.0,
    "image_size": 48,
    "scale": 32.0,
    "margin_ramp": 0.4,
    "batch_size": 120,
    "steps": 12,
    "lr": 0.1,
    "lr_drops": (8,),
    "log_every": 3,
    "checkpoint_every": 1000,
    "mirror": True,
    "freeze_batchnorm": False,
}


def finish_well(command_line):
    """Run a command line that must succeed, and return its output."""
    code, output = finish(command_line)
    assert code == 0, output
    return output


def largest_difference(first, second):
    """Compare two states; return the largest relative difference and the name of the array."""
    differences = []
    for group in ("arg_params", "aux_params", "momentum"):
        arrays, others = getattr(first, group), getattr(second, group)
        assert set(arrays) == set(others) and arrays
        for name in arrays:
            a, b = arrays[name].asnumpy(), others[name].asnumpy()
            differences.append((float(np.abs(a - b).max() / max(1.0, np.abs(a).max())), f"{group} of {name}"))
    return max(differences)


def print_equality(folder, data):
    print(
        f"\n| two processes against one with the joint batch of {IMAGES}, {SETTINGS['steps']} steps, "
        "BatchNorm frozen | largest difference | in |\n|---|---|---|"
    )
    for number, (name, values) in enumerate(VARIANTS.items()):
        one, two = (os.path.join(folder, f"{processes}{number}") for processes in ("one", "two"))
        one = from_flat(run_settings(**{**values, "data": data, "run": one, "parallel": "data", "devices": "cpu"}))
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
            train(one)
        finish_well(command(two, data, TWO, **values))
        difference, array = largest_difference(final(one), final(from_flat(run_settings(data=data, run=two))))
        print(f"| --parallel {name} | {difference:.1e} | {array} |", flush=True)


def print_horovod_faults(folder, data):
    cases = []
    for name in ("data", "centres"):
        for rank in ("0", "1"):
            command_line = command(os.path.join(folder, name + rank), data, TWO, **VARIANTS[name])
            cases.append((f"rank {rank}, --parallel {name}", command_line, rank))
    print()
    print_faults(cases, **RANKS)


def print_times(folder, data):
    print(
        "\n| engine | --parallel | processes | ms a step of 120 images, median of 3 (each over 3 steps) "
        "| loss at the end (rank 0's share) |\n|---|---|---|---|---|"
    )
    for engine, parallel in (("ps", "data"), ("horovod", "data"), ("horovod", "centres")):
        for workers in (1, 2, 4):
            run = os.path.join(folder, f"{engine}-{parallel}-{workers}")
            flags = ("--engine", engine, "-n", str(workers))
            output = finish_well(command(run, data, flags, **dict(TIMED, parallel=parallel)))
            speeds = re.findall(r"^\[worker 0\] step .* (\d+) images/s", output, re.M)[1:]
            milliseconds = 1000 * 120 / (workers * np.median([float(speed) for speed in speeds]))
            loss = re.findall(r"loss ([\d.]+)", output)[-1]
            print(f"| {engine} | {parallel} | {workers} | {milliseconds:.0f} | {loss} |", flush=True)


def print_growth(folder, data):
    """Without frozen BatchNorm, the two ways at first only differ in the order of sums."""
    print("\n| step | --parallel data against centres, two processes each: largest difference | in |\n|---|---|---|")
    runs = {parallel: os.path.join(folder, parallel) for parallel in ("data", "centres")}
    values = dict(TIMED, steps=6, lr_drops=(5,), checkpoint_every=1, keep_checkpoints=6)
    for parallel, run in runs.items():
        finish_well(command(run, data, TWO, **dict(values, parallel=parallel)))
    for step in range(1, 7):
        states = [checkpoint.load(checkpoint.checkpoint_path(run, step)) for run in runs.values()]
        difference, array = largest_difference(*states)
        print(f"| {step} | {difference:.1e} | {array} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="face set for the table of times")
    parser.add_argument("--growth", action="store_true", help="only print how rounding differences grow on --data")
    args = parser.parse_args()
    if args.growth and not args.data:
        parser.error("--growth needs --data")
    flags = (f" --data {os.path.basename(args.data)}" if args.data else "") + (" --growth" if args.growth else "")
    print(f"$ OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS')} python -m tests.support.horovod_trial{flags}")
    print(f"{time.strftime('%Y-%m-%d %H:%M')}, commit {commit()}")
    print(
        f"{processor()}, {os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}; Python "
        f"{platform.python_version()}, MXNet {mx.__version__}, Horovod 0.28.1 with Gloo over loopback, no GPU"
    )
    with tempfile.TemporaryDirectory() as folder:
        if args.growth:
            print_growth(folder, args.data)
        else:
            data = write_faces(os.path.join(folder, "faces"))
            print_equality(folder, data)
            print_horovod_faults(folder, data)
        if args.data and not args.growth:
            print_times(folder, args.data)
    print(f"\nload average at the end: {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
