"""Kill training at random moments, resume, and compare the end with an unbroken run's, bit for bit.

    python -m tests.support.kill --kills 200

Half of the kills come from outside at a random time, and half from inside at a random write, fsync,
rename or mkdir of the run. Training runs in forked children of a process that has only imported what
they need. Each finished run prints one line. The exit code is 1 if two ends differ.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time

from tests.conftest import write_tiny_faces, write_tiny_pairs

STEPS = 8
COMMON = {
    "network": "iresnet18",
    "width": 0.07,
    "units": (1, 1),
    "embedding_size": 16,
    "image_size": 32,
    "batch_size": 8,
    "dropout": 0.3,
    "lr": 0.05,
    "lr_drops": (5,),
    "steps": STEPS,
    "log_every": 4,
    "checkpoint_every": 1,
    "eval_every": 3,
}
RUNS = {
    "margin ramped up": {"scale": 16.0, "margin_ramp": 0.5, "keep_every": 5},
    "A-Softmax's lambda, accumulated gradients": {
        "loss": "a_softmax",
        "accumulate": 2,
        "batch_size": 4,
        "warmup_steps": 3,
    },
    "triplets mined from bags": {
        "scale": 16.0,
        "triplet_weight": 1.0,
        "images_per_identity": 2,
        "jitter": 0.2,
        "bag": 3,
    },
    "two devices": {"scale": 16.0, "devices": "cpu(0),cpu(1)"},
    "three devices": {"scale": 16.0, "devices": "cpu(0),cpu(1),cpu(2)", "batch_size": 9},
}


def train_in_child(config, log, suicide=0):
    """Fork a child that trains and kills itself at file system call number `suicide` (0: never)."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        with open(log, "a") as stream:
            os.dup2(stream.fileno(), 1)
            os.dup2(stream.fileno(), 2)
        if suicide:
            _die_at(suicide)
        from arcface_mx.train.run import train

        train(config)
        code = 0
    except BaseException as error:
        print(f"child: {error!r}", flush=True)
    os._exit(code)


def _die_at(call):
    count = [0]

    def dying(real):
        def wrapped(*arguments, **named):
            count[0] += 1
            if count[0] == call:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments, **named)

        return wrapped

    import arcface_mx.util.params as array_file

    for name in ("fsync", "rename", "replace", "mkdir", "unlink", "rmdir"):
        setattr(os, name, dying(getattr(os, name)))
    array_file._put = dying(array_file._put)  # between the pieces of an array file


def contents(run):
    """Return what must be equal at the end: checkpoints, export, metrics."""
    found = {}
    for folder, _, names in os.walk(run):
        for name in names:
            path = os.path.join(folder, name)
            if os.path.relpath(path, run) not in ("config.json", "environment.json", "log.jsonl", "run.lock"):
                with open(path, "rb") as stream:
                    found[os.path.relpath(path, run)] = stream.read()
    found["metrics.json"] = without_times(json.loads(found["metrics.json"]))
    return found


def without_times(value):
    """Return a JSON value without the entries named "seconds"."""
    if isinstance(value, list):
        return [without_times(item) for item in value]
    if isinstance(value, dict):
        return {key: without_times(item) for key, item in value.items() if key != "seconds"}
    return value


def kill_and_compare(folder, kills, seed, say=print):
    """Return the numbers of kills by their kind, of finished runs and of runs that end differently."""
    from arcface_mx.config import from_flat

    chance = random.Random(seed)
    faces, pairs = os.path.join(folder, "faces"), os.path.join(folder, "tiny.bin")
    write_tiny_faces(faces)
    write_tiny_pairs(pairs)
    counts = {
        "kills": 0,
        "by time": 0,
        "by file system call": 0,
        "in a checkpoint's writing": 0,
        "runs": 0,
        "differing": 0,
    }
    log = os.path.join(folder, "log.txt")
    references, number = {}, 0
    while counts["kills"] < kills:
        name = sorted(RUNS)[number % len(RUNS)]
        number += 1
        config = from_flat(dict(COMMON, **RUNS[name], data=faces, eval=(pairs,), run=os.path.join(folder, "run")))
        if name not in references:
            start = time.perf_counter()
            _end_well(train_in_child(config, log), log)
            references[name] = (contents(config.run.run), time.perf_counter() - start)
            shutil.rmtree(config.run.run)
        reference, seconds = references[name]
        before = counts["kills"]
        while _killed(config, log, chance, seconds, counts):
            pass
        counts["runs"] += 1
        found = contents(config.run.run)
        differing = sorted(path for path in set(found) | set(reference) if found.get(path) != reference.get(path))
        counts["differing"] += bool(differing)
        say(
            f"{name}: {counts['kills'] - before} kills, end "
            f"{('differs in ' + ', '.join(differing) if differing else 'bit-equal')}"
        )
        shutil.rmtree(config.run.run)
    return counts


def _killed(config, log, chance, seconds, counts):
    """Start or continue the run once. Return True if it was killed, False if it reached its end."""
    suicide = chance.randint(1, 40 * STEPS) if chance.random() < 0.5 else 0
    child = train_in_child(config, log, suicide)
    if not suicide:
        time.sleep(chance.uniform(0.0, seconds))
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL, f"ended by signal {os.WTERMSIG(status)}"
        counts["kills"] += 1
        counts["by file system call" if suicide else "by time"] += 1
        root = os.path.join(config.run.run, "checkpoints")
        counts["in a checkpoint's writing"] += os.path.isdir(root) and any(
            name.startswith(".step-") for name in os.listdir(root)
        )
        return True
    _check_end(status, log)
    return False


def _end_well(child, log):
    _check_end(os.waitpid(child, 0)[1], log)


def _check_end(status, log):
    if status:
        with open(log) as stream:
            raise AssertionError(f"a run ended with status {status}:\n{stream.read()[-3000:]}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", help="write the counts there")
    args = parser.parse_args()
    import sklearn.model_selection  # noqa: F401

    import arcface_mx.train.run  # noqa: F401  (imported once, for all children)

    start = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="arcface-mx-kill-") as folder:
        counts = kill_and_compare(folder, args.kills, args.seed, lambda text: print(text, flush=True))
    print(", ".join(f"{name} {count}" for name, count in counts.items()) + f"; {time.perf_counter() - start:.0f} s")
    if args.json:
        with open(args.json, "w") as stream:
            json.dump(counts, stream)
    return 1 if counts["differing"] else 0


if __name__ == "__main__":
    sys.exit(main())
