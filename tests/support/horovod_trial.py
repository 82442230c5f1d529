"""One run of `launch --engine horovod`, with figures: python -m tests.support.horovod_trial [--data FACES] [--growth]

Prints the largest difference between the weights of two processes and of one with the joint batch, what
happens when a process is killed, and, with --data, the time of a step with 1, 2 and 4 processes. With
--growth in the place of all that: how a difference of rounding between the two ways grows over these steps.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import subprocess
import sys
import tempfile
import time

import mxnet as mx
import numpy as np

from arcface_mx.config import from_flat
from arcface_mx.data.recordio.writer import RecordWriter
from arcface_mx.train import checkpoint
from arcface_mx.train.folder import commit, processor
from arcface_mx.train.run import train
from tests.conftest import TINY_SIDE, tiny_photo
from tests.launch.test_horovod import CENTRES, RANKS, TWO
from tests.launch.test_launcher import IMAGES, SETTINGS, command, fail_in_the_middle
from tests.support.training import final

WAYS = {"data": {}, "centres": dict(CENTRES), "centres, 2 devices each": dict(CENTRES, devices="cpu(0),cpu(1)")}
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
ENGINES = {"ps": ("--engine", "ps"), "horovod": ("--engine", "horovod")}


def quiet(words):
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout
    return done.stdout


def largest_difference(one, two):
    """Over all parameters, BatchNorm's statistics and momenta, relative to the largest value or 1; and of which array."""
    found = []
    for group in ("arg_params", "aux_params", "momentum"):
        first, second = getattr(one, group), getattr(two, group)
        assert set(first) == set(second) and first
        for name in first:
            a, b = first[name].asnumpy(), second[name].asnumpy()
            found.append((float(np.abs(a - b).max() / max(1.0, np.abs(a).max())), f"{group} of {name}"))
    return max(found)


def equality(folder, data):
    print(
        f"\n| two processes against one with the joint batch of {IMAGES}, {SETTINGS['steps']} steps, "
        "BatchNorm frozen | largest difference | in |"
    )
    print("|---|---|---|")
    for number, (name, values) in enumerate(WAYS.items()):
        one = from_flat(
            dict(
                SETTINGS,
                **dict(values, data=data, run=os.path.join(folder, f"one{number}"), parallel="data", devices="cpu"),
            )
        )
        sys.stdout.flush()
        with open(os.devnull, "w") as nowhere:
            before, sys.stdout = sys.stdout, nowhere
            try:
                train(one)
            finally:
                sys.stdout = before
        run = os.path.join(folder, f"two{number}")
        quiet(command(run, data, TWO, **values))
        difference, where = largest_difference(final(one), final(from_flat(dict(SETTINGS, data=data, run=run))))
        print(f"| --parallel {name} | {difference:.1e} | {where} |", flush=True)


def faults(folder, data):
    print("\n| killed at step 3 of 8 | launcher's code | seconds to the end | said | goes on from step | its code |")
    print("|---|---|---|---|---|---|")
    for name, victim in (("data", "0"), ("data", "1"), ("centres", "0"), ("centres", "1")):
        words = command(os.path.join(folder, name + victim), data, TWO, **WAYS[name])
        code, said, seconds = fail_in_the_middle(words, victim, **RANKS)
        reason = re.findall(r"launch: (.*);", said)[0]
        again = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        step = re.findall(r"step-(\d+), step", again.stdout)
        went_on = int(step[0]) if step else "scratch"
        print(
            f"| rank {victim}, --parallel {name} | {code} | {seconds:.1f} | {reason} | {went_on} | "
            f"{again.returncode} |",
            flush=True,
        )


def times(folder, data):
    print(
        "\n| engine | --parallel | processes | ms a step of 120 images, median of 3 (each over 3 steps) | loss at the end (rank 0's share) |"
    )
    print("|---|---|---|---|---|")
    for engine, parallel in (("ps", "data"), ("horovod", "data"), ("horovod", "centres")):
        for workers in (1, 2, 4):
            run = os.path.join(folder, f"{engine}-{parallel}-{workers}")
            said = quiet(command(run, data, ENGINES[engine] + ("-n", str(workers)), **dict(TIMED, parallel=parallel)))
            speeds = [
                float(speed) * workers for speed in re.findall(r"^\[worker 0\] step .* (\d+) images/s", said, re.M)
            ][1:]
            loss = re.findall(r"loss ([\d.]+)", said)[-1]
            print(
                f"| {engine} | {parallel} | {workers} | {1000 * 120 / float(np.median(speeds)):.0f} | {loss} |",
                flush=True,
            )


def growth(folder, data):
    """BatchNorm not frozen: the two ways differ in the order of sums alone, as long as they do not part."""
    print("\n| step | --parallel data against centres, two processes each: largest difference | in |")
    print("|---|---|---|")
    runs = [os.path.join(folder, parallel) for parallel in ("data", "centres")]
    for run in runs:
        values = dict(
            TIMED, steps=6, lr_drops=(5,), checkpoint_every=1, keep_checkpoints=6, parallel=os.path.basename(run)
        )
        quiet(command(run, data, TWO, **values))
    for step in range(1, 7):
        one, two = (checkpoint.load(checkpoint.checkpoint_path(run, step)) for run in runs)
        print("| %d | %.1e | %s |" % ((step,) + largest_difference(one, two)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="a face set of which the times are taken")
    parser.add_argument(
        "--growth", action="store_true", help="how differences of rounding grow on --data, and nothing else"
    )
    args = parser.parse_args()
    if args.growth and not args.data:
        parser.error("--growth needs --data")
    print(
        f"$ OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS')} python -m tests.support.horovod_trial{' --data ' + os.path.basename(args.data) if args.data else ''}{' --growth' if args.growth else ''}"
    )
    print("{}, commit {}".format(time.strftime("%Y-%m-%d %H:%M"), commit()))
    print(
        f"{processor()}, {os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f} (other work beside "
        f"it); Python {platform.python_version()}, MXNet {mx.__version__}, Horovod 0.28.1 with Gloo over "
        "loopback, no GPU"
    )
    with tempfile.TemporaryDirectory() as folder:
        if args.growth:
            return growth(folder, args.data)
        data = os.path.join(folder, "faces")
        with RecordWriter(data, TINY_SIDE, TINY_SIDE) as writer:
            for person in range(5):
                for photo in range(IMAGES // 5):
                    writer.add(person, tiny_photo(person, photo))
        equality(folder, data)
        faults(folder, data)
        if args.data:
            times(folder, args.data)
    print(f"\nload average at the end: {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
