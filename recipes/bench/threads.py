"""What `train --threads auto` is worth: images/s with auto, one thread and all, idle and beside processes that spin.

    python recipes/bench/threads.py --json recipes/results/bench_threads.json

Each case is the command `arcface-mx train` with the preset laptop, in turn with the others. Its rate is that of the
steps after the first log line. In the second half of a round, as many processes as there are cores spin beside it.
The ratios are medians over the rounds, each taken within one round.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import datetime
import json
import os
import statistics
import subprocess
import sys
import tempfile
from typing import Any, Dict, Iterator, List

from arcface_mx.bench.gpu import make_faces
from arcface_mx.bench.results import machine
from arcface_mx.train.folder import commit
from arcface_mx.train.log import read_events
from arcface_mx.util.environment import available_cores
from arcface_mx.util.files import write_json
from arcface_mx.util.tables import markdown_table

CLASSES, SIDE = 1000, 64
GOALS = {
    "busy: auto / better of one and all": 0.95,
    "busy: auto / idle: one": 0.45,
    "idle: auto / idle: all": 0.98,
}


@dataclasses.dataclass(frozen=True)
class Measurement:
    """Images per second of a run, and the number of threads that it took."""

    rate: float
    threads: int


@contextlib.contextmanager
def spinning(processes: int) -> Iterator[None]:
    """Let processes use the processor until the end of a `with` block."""
    started = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(processes)]
    try:
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()


def train(data: str, threads: str, steps: int, log_every: int) -> Measurement:
    """Run one training, and read its rate from its log."""
    variables = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    with tempfile.TemporaryDirectory() as folder:
        run = os.path.join(folder, "run")
        words = ["train", "--preset", "laptop", "--data", data, "--run", run, "--threads", threads]
        words += ["--steps", str(steps), "--log-every", str(log_every)]
        subprocess.run([sys.executable, "-m", "arcface_mx", *words], env=variables, check=True, stdout=subprocess.PIPE)
        rates = [event["images_per_second"] for event in read_events(run, "step")[1:]]
        with open(os.path.join(run, "environment.json"), encoding="utf-8") as stream:
            return Measurement(statistics.harmonic_mean(rates), int(json.load(stream)["threads"]))


def ratios(rounds: List[Dict[str, Measurement]]) -> Dict[str, float]:
    """Return the median over the rounds of each ratio of `GOALS`."""

    def of_round(measured: Dict[str, Measurement]) -> List[float]:
        rate = {name: measurement.rate for name, measurement in measured.items()}
        return [
            rate["busy: auto"] / max(rate["busy: one"], rate["busy: all"]),
            rate["busy: auto"] / rate["idle: one"],
            rate["idle: auto"] / rate["idle: all"],
        ]

    return dict(zip(GOALS, map(statistics.median, zip(*map(of_round, rounds)))))


def main(arguments: Any = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="folder with train.rec (default: noise, 1,000 identities)")
    parser.add_argument("--steps", type=int, default=40, help="steps of a run (default: %(default)s)")
    parser.add_argument("--log-every", type=int, default=10, help="steps before the rate counts (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="repetitions of all cases (default: %(default)s)")
    parser.add_argument("--json", help="also write the results to this file")
    args = parser.parse_args(arguments)
    cores, rounds = available_cores(), []
    numbers = {"auto": "auto", "one": "1", "all": str(cores)}
    with tempfile.TemporaryDirectory() as folder:
        data = args.data or make_faces(os.path.join(folder, "faces"), CLASSES, SIDE)
        for number in range(1, 1 + args.rounds):
            measured = {}
            for name, spinners in (("idle", 0), ("busy", cores)):
                with spinning(spinners):
                    for key, word in numbers.items():
                        measured[f"{name}: {key}"] = train(data, word, args.steps, args.log_every)
            rounds.append(measured)
            print(f"round {number} of {args.rounds}", file=sys.stderr)
    rows = [["", "images/s", "lowest to highest", "threads"]]
    for name in rounds[0]:
        rates, counts = [one[name].rate for one in rounds], sorted({one[name].threads for one in rounds})
        rows.append([name, f"{statistics.median(rates):.0f}", f"{min(rates):.0f} to {max(rates):.0f}"])
        rows[-1].append(", ".join(map(str, counts)))
    reached = ratios(rounds)
    print(markdown_table(rows))
    print()
    for name, value in reached.items():
        print(f"{name}: {value:.2f} (goal {GOALS[name]})")
    if args.json:
        result = {"command": "python recipes/bench/threads.py", "commit": commit(), "machine": machine()}
        result.update(date=datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"))
        result.update(steps=args.steps, data=os.path.basename(args.data or "noise"), ratios=reached, goals=GOALS)
        plain = [{name: dataclasses.asdict(one) for name, one in measured.items()} for measured in rounds]
        write_json(args.json, {**result, "rounds": plain})


if __name__ == "__main__":
    main()
